/** A form in which the owner of a node changes its rules while it runs. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { CallServer, messageOf } from '../core/request';
import { changes, IRules, startsWith, Written, written } from './rules';

interface IRulesProps {
  nodeId: string;
  call: CallServer;
  trans: TranslationBundle;
}

/** A button, and the form once it was pressed. Others than the owner are told why there is none. */
export function Rules(props: IRulesProps): React.ReactElement {
  const { nodeId, call, trans } = props;
  const [rules, setRules] = React.useState<IRules | null>(null);
  const [error, setError] = React.useState('');
  const open = async () => {
    setError('');
    try {
      setRules(await call(`nodes/rules?node=${encodeURIComponent(nodeId)}`));
    } catch (reason) {
      setError(messageOf(reason));
    }
  };
  if (rules !== null) {
    return (
      <Form
        {...props}
        rules={rules}
        onClose={() => {
          setRules(null);
        }}
      />
    );
  }
  return (
    <div className="jp-EasyRemote-jobButtons">
      <button onClick={() => void open()}>
        {trans.__('Change the Rules')}
      </button>
      {error && <span role="alert">{error}</span>}
    </div>
  );
}

function Form({
  nodeId,
  rules,
  onClose,
  call,
  trans
}: IRulesProps & {
  rules: IRules;
  onClose: () => void;
}): React.ReactElement {
  const [known, setKnown] = React.useState(rules);
  const [now, setNow] = React.useState(written(rules));
  const [told, setTold] = React.useState('');
  const [isSaving, setIsSaving] = React.useState(false);

  const save = async () => {
    setIsSaving(true);
    try {
      const answer = await call<IRules>('nodes/rules', {
        node_id: nodeId,
        changes: changes(known, now)
      });
      setKnown(answer);
      if (Object.keys(answer.refused).length === 0) {
        setNow(written(answer));
        setTold(trans.__('The rules are in force.'));
      } else {
        setTold(trans.__('Nothing was changed.'));
      }
    } catch (error) {
      setTold(messageOf(error));
    }
    setIsSaving(false);
  };

  return (
    <form
      className="jp-EasyRemote-form jp-EasyRemote-rules"
      aria-label={trans.__('The rules of %1', nodeId)}
      onSubmit={event => {
        event.preventDefault();
        void save();
      }}
      noValidate
    >
      {fields(trans).map(field => (
        <Field
          key={field.name}
          {...field}
          words={now[field.name] ?? ''}
          wrong={known.refused[field.name] ?? ''}
          onWords={words => {
            setNow({ ...now, [field.name]: words } satisfies Written);
            setTold('');
          }}
        />
      ))}
      <p className="jp-EasyRemote-hint">{keptIn(known, trans)}</p>
      <div className="jp-EasyRemote-formButtons">
        <button
          type="submit"
          className="jp-EasyRemote-button"
          disabled={isSaving}
        >
          {trans.__('Save')}
        </button>
        <button
          type="button"
          className="jp-EasyRemote-button"
          onClick={onClose}
        >
          {trans.__('Close')}
        </button>
        <span className="jp-EasyRemote-aside" role="status">
          {told}
        </span>
      </div>
    </form>
  );
}

interface IField {
  name: string;
  label: string;
  /** A text as an example, or the choices: what each writes, and how it is called. */
  example?: string;
  choices?: [string, string][];
}

function fields(trans: TranslationBundle): IField[] {
  return [
    { name: 'max_cpu', label: trans.__('Share of the cores'), example: '50%' },
    { name: 'max_memory', label: trans.__('Memory'), example: '16GB' },
    { name: 'hours', label: trans.__('Hours of the day'), example: '22-7' },
    {
      name: 'only_when_idle',
      label: trans.__('While somebody works on it'),
      choices: [
        ['', trans.__('it is lent')],
        ['yes', trans.__('nothing new starts')]
      ]
    },
    {
      name: 'on_battery',
      label: trans.__('On battery'),
      choices: [
        ['', trans.__('it is lent')],
        ['no', trans.__('nothing new starts')]
      ]
    },
    {
      name: 'when_busy',
      label: trans.__('What runs when it is not lent'),
      choices: [
        ['', trans.__('goes on')],
        ['pause', trans.__('stands still')],
        ['cancel', trans.__('is ended')]
      ]
    }
  ];
}

function Field({
  name,
  label,
  example,
  choices,
  words,
  wrong,
  onWords
}: IField & {
  words: string;
  wrong: string;
  onWords: (words: string) => void;
}): React.ReactElement {
  const id = React.useId();
  const common = {
    id,
    name,
    value: words,
    'aria-invalid': wrong !== '',
    'aria-describedby': wrong ? `${id}-wrong` : undefined,
    onChange: (
      event: React.ChangeEvent<HTMLInputElement | HTMLSelectElement>
    ) => {
      onWords(event.target.value);
    }
  };
  return (
    <div className="jp-EasyRemote-field">
      <label htmlFor={id}>{label}</label>
      {choices === undefined ? (
        <input {...common} placeholder={example} />
      ) : (
        <select {...common}>
          {choices.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      )}
      {wrong && (
        <span id={`${id}-wrong`} role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}

/** Until when the rules hold. */
function keptIn(rules: IRules, trans: TranslationBundle): string {
  const kept = rules.file
    ? trans.__('The node keeps them in %1.', rules.file)
    : trans.__(
        'They hold until the node ends: it was started without a file of rules (--rules).'
      );
  const again = startsWith(rules);
  return again.length === 0
    ? kept
    : `${kept} ${trans.__('Started the same way again, it has %1.', again.join(', '))}`;
}
