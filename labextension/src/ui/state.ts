/** How a view follows the models. */

import { TranslationBundle } from '@jupyterlab/translation';
import { ISignal } from '@lumino/signaling';
import * as React from 'react';
import { INodeActions } from '../nodes/actions';
import { IFunctionActions } from '../functions/actions';
import { IJobActions } from '../jobs/actions';
import { IOptions, OptionsModel } from '../core/options';
import { IBars } from '../core/protocol';
import { ISessionActions } from '../sessions/actions';
import { SessionsModel } from '../sessions/model';
import { SetupModel } from '../setup/model';
import { IConnectionModel, State } from '../core/tokens';

/** What every section of the panel gets. */
export interface ISectionProps {
  model: IConnectionModel;
  options: OptionsModel;
  actions: INodeActions;
  setup: SetupModel;
  trans: TranslationBundle;
}

/** What the section of the jobs gets. */
export interface IJobSectionProps extends ISectionProps {
  jobActions: IJobActions;
}

/** What the section of the functions gets. */
export interface IFunctionSectionProps extends ISectionProps {
  functionActions: IFunctionActions;
}

/** What the section of the sessions gets. */
export interface ISessionSectionProps extends ISectionProps {
  sessions: SessionsModel;
  sessionActions: ISessionActions;
}

/** What the panel gets: what any of its sections wants. */
export type IPanelProps = IJobSectionProps &
  IFunctionSectionProps &
  ISessionSectionProps;

/** The state of the model; the view is drawn again when it changes. */
export function useConnection(model: IConnectionModel): State {
  return useSignal(model.stateChanged, () => model.state);
}

/** The bars of the jobs that run; the view is drawn again when one moves. */
export function useBars(model: IConnectionModel): ReadonlyMap<string, IBars> {
  return useSignal(model.barsChanged, () => model.bars);
}

/** The options; the view is drawn again when they change. */
export function useOptions(options: OptionsModel): IOptions {
  return useSignal(options.changed, () => options.value);
}

/** What a model says now; the view is drawn again when its signal comes. */
export function useSignal<S, T>(signal: ISignal<S, void>, get: () => T): T {
  const subscribe = React.useCallback(
    (redraw: () => void) => {
      signal.connect(redraw);
      return () => {
        signal.disconnect(redraw);
      };
    },
    [signal]
  );
  return React.useSyncExternalStore(subscribe, get);
}
