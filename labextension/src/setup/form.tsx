/** The form for the address and the key of a gateway. The server keeps them; this page doesn't. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { useSignal } from '../ui/state';
import { Place, SetupModel } from './model';

export function ConnectForm({
  setup,
  onClose,
  trans
}: {
  setup: SetupModel;
  onClose: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const { busy, error } = useSignal(setup.stateChanged, () => setup.state);
  const [address, setAddress] = React.useState('');
  const [key, setKey] = React.useState('');
  const form = React.useRef<HTMLFormElement>(null);
  const place = error?.place;
  React.useEffect(() => {
    form.current
      ?.querySelector<HTMLInputElement>(`[name="${place ?? 'address'}"]`)
      ?.focus();
  }, [place, error]);

  const messageAt = (at: Place) =>
    error?.place === at ? error.message : undefined;
  const submit = () => {
    if (busy === null) {
      void setup.connect(address, key).then(isConnected => {
        if (isConnected) {
          onClose();
        }
      });
    }
  };
  return (
    <form
      ref={form}
      className="jp-EasyRemote-form"
      aria-label={trans.__('Connect to a gateway')}
      noValidate
      onSubmit={event => {
        event.preventDefault();
        submit();
      }}
      onKeyDown={event => {
        if (event.key === 'Escape') {
          event.stopPropagation();
          onClose();
        }
      }}
    >
      <Field
        name="address"
        label={trans.__('Address')}
        placeholder="my-vps:8080"
        value={address}
        onValue={setAddress}
        error={messageAt('address')}
      />
      <Field
        name="key"
        label={trans.__('Client key')}
        placeholder="er_client_…"
        isSecret
        value={key}
        onValue={setKey}
        error={messageAt('key')}
      />
      <p>
        {trans.__(
          'The key is stored on the Jupyter server, where only you can read it. It is not stored in this page.'
        )}
      </p>
      <div className="jp-EasyRemote-buttons">
        <button
          type="submit"
          className="jp-EasyRemote-button jp-mod-accept"
          aria-disabled={busy !== null}
        >
          {busy === 'connecting'
            ? trans.__('Connecting…')
            : trans.__('Connect')}
        </button>
        <button
          type="button"
          className="jp-EasyRemote-button"
          onClick={onClose}
        >
          {trans.__('Back')}
        </button>
      </div>
    </form>
  );
}

function Field({
  name,
  label,
  placeholder,
  value,
  onValue,
  isSecret = false,
  error
}: {
  name: Place;
  label: string;
  placeholder: string;
  value: string;
  onValue: (value: string) => void;
  isSecret?: boolean;
  /** What is wrong with it. */
  error?: string;
}): React.ReactElement {
  const id = React.useId();
  return (
    <div className="jp-EasyRemote-field">
      <label htmlFor={id}>{label}</label>
      <input
        id={id}
        name={name}
        type={isSecret ? 'password' : 'text'}
        className="jp-EasyRemote-search"
        placeholder={placeholder}
        autoComplete="off"
        spellCheck={false}
        value={value}
        aria-invalid={error !== undefined}
        aria-describedby={error && `${id}-error`}
        onChange={event => {
          onValue(event.target.value);
        }}
      />
      {error && (
        <p id={`${id}-error`} role="alert" className="jp-EasyRemote-error">
          {error}
        </p>
      )}
    </div>
  );
}
