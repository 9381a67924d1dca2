/** Command lines for a terminal. */

import { TranslationBundle } from '@jupyterlab/translation';
import { checkIcon, copyIcon } from '@jupyterlab/ui-components';
import * as React from 'react';
import { IStep } from '../core/nothing';

/** Milliseconds for which the button says that it has copied. */
const COPIED_MS = 1500;

/** Commands for a terminal; folded if there is a better way. */
export function Steps({
  steps,
  isFolded,
  trans
}: {
  steps: IStep[];
  isFolded: boolean;
  trans: TranslationBundle;
}): React.ReactElement {
  return (
    <details open={!isFolded}>
      <summary>{trans.__('In a terminal')}</summary>
      {steps.map(step => (
        <React.Fragment key={step.command}>
          <p>{step.text}</p>
          <Command command={step.command} trans={trans} />
        </React.Fragment>
      ))}
    </details>
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
