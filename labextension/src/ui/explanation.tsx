/** The text that is shown if there is nothing else to show. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IExplanation } from '../core/nothing';

export function Explanation({
  explanation: { title, text, retryIn },
  onRetry,
  children,
  trans
}: {
  explanation: IExplanation;
  onRetry: () => void;
  /** What can be done about it here. */
  children?: React.ReactNode;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <div className="jp-EasyRemote-explanation">
      <h3>{title}</h3>
      {text && <p>{text}</p>}
      {children}
      {retryIn !== undefined && (
        <p className="jp-EasyRemote-retry">
          {trans.__('Next try in %1 s.', retryIn)}
          <button onClick={onRetry}>{trans.__('Try now')}</button>
        </p>
      )}
    </div>
  );
}
