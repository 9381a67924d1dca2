/** How a view follows the model. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IConnectionModel, State } from '../tokens';

/** What every section of the panel gets. */
export interface ISectionProps {
  model: IConnectionModel;
  trans: TranslationBundle;
}

/** The state of the model; the view is drawn again when it changes. */
export function useConnection(model: IConnectionModel): State {
  const subscribe = React.useCallback(
    (redraw: () => void) => {
      model.stateChanged.connect(redraw);
      return () => {
        model.stateChanged.disconnect(redraw);
      };
    },
    [model]
  );
  return React.useSyncExternalStore(subscribe, () => model.state);
}
