/** What a newcomer can do: start one here, or connect to a gateway elsewhere. Inline. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IStep } from '../core/nothing';
import { ISetup } from '../core/protocol';
import { useSignal } from '../ui/state';
import { Steps } from '../ui/steps';
import { ConnectForm } from './form';
import { SetupModel } from './model';

export function Setup({
  setup,
  steps,
  trans
}: {
  setup: SetupModel;
  /** What can be done in a terminal instead. */
  steps: IStep[];
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { offer } = useSignal(setup.stateChanged, () => setup.state);
  const [isForm, setForm] = React.useState(false);
  React.useEffect(() => {
    void setup.load();
  }, [setup]);
  if (offer === null) {
    return null;
  }
  if (isForm && offer.connect) {
    return (
      <ConnectForm
        setup={setup}
        onClose={() => {
          setForm(false);
        }}
        trans={trans}
      />
    );
  }
  return (
    <>
      <Choice
        setup={setup}
        offer={offer}
        onConnect={() => {
          setForm(true);
        }}
        trans={trans}
      />
      {steps.length > 0 && (
        <Steps steps={steps} isFolded={offer.start !== ''} trans={trans} />
      )}
    </>
  );
}

/** The two buttons. */
function Choice({
  setup,
  offer: { start, connect },
  onConnect,
  trans
}: {
  setup: SetupModel;
  offer: ISetup;
  onConnect: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { busy, error } = useSignal(setup.stateChanged, () => setup.state);
  return (
    <>
      {start && <p>{consequence(start, trans)}</p>}
      <div className="jp-EasyRemote-buttons">
        {start && (
          <button
            className="jp-EasyRemote-button jp-mod-accept"
            aria-disabled={busy !== null}
            onClick={() => {
              if (busy === null) {
                void setup.start();
              }
            }}
          >
            {busy === 'starting'
              ? trans.__('Starting…')
              : trans.__('Start one here')}
          </button>
        )}
        {connect && (
          <button className="jp-EasyRemote-button" onClick={onConnect}>
            {trans.__('Connect to…')}
          </button>
        )}
      </div>
      {error?.place === 'start' && (
        <p role="alert" className="jp-EasyRemote-error">
          {error.message}
        </p>
      )}
    </>
  );
}

function consequence(
  start: 'gateway' | 'node',
  trans: TranslationBundle
): string {
  return start === 'gateway'
    ? trans.__(
        'Starts a gateway and a node on the machine of the Jupyter server, for you alone. They end when the server ends.'
      )
    : trans.__(
        'Starts a node on the machine of the Jupyter server. It ends when the server ends.'
      );
}
