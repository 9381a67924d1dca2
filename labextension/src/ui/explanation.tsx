/** What stands where there is nothing to show. */

import { TranslationBundle } from '@jupyterlab/translation';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { IExplanation } from '../nothing';

/** Milliseconds for which the button says that it has copied. */
const COPIED_MS = 1500;

export function Explanation({
  explanation: { title, text, steps = [], retryIn },
  onRetry,
  trans
}: {
  explanation: IExplanation;
  onRetry: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <div className="jp-EasyRemote-explanation">
      <h3>{title}</h3>
      {text && <p>{text}</p>}
      {steps.map(step => (
        <React.Fragment key={step.command}>
          <p>{step.text}</p>
          <Command command={step.command} trans={trans} />
        </React.Fragment>
      ))}
      {retryIn !== undefined && (
        <p className="jp-EasyRemote-retry">
          {trans.__('Next try in %1 s.', retryIn)}
          <button onClick={onRetry}>{trans.__('Try now')}</button>
        </p>
      )}
    </div>
  );
}

/** A command line, and the button that copies it. */
function Command({
  command,
  trans
}: {
  command: string;
  trans: TranslationBundle;
}): React.ReactElement {
  const [copied, setCopied] = React.useState(false);
  React.useEffect(() => {
    const timer = copied
      ? setTimeout(() => {
          setCopied(false);
        }, COPIED_MS)
      : undefined;
    return () => {
      clearTimeout(timer);
    };
  }, [copied]);
  const label = copied ? trans.__('Copied') : trans.__('Copy the command');
  const Icon = copied ? checkIcon.react : copyIcon.react;
  return (
    <div className="jp-EasyRemote-command">
      <code>{command}</code>
      <button
        title={label}
        aria-label={label}
        onClick={() => {
          void navigator.clipboard.writeText(command).then(() => {
            setCopied(true);
          });
        }}
      >
        <Icon tag="span" width="14px" height="14px" />
      </button>
    </div>
  );
}
