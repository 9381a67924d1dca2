/** A form made of a function's type hints, and the value that the function returned. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IFunctionActions, IRun } from './actions';
import { argumentsOf, fieldsOf, IField, IFunction } from './functions';

export function Form({
  fn,
  actions,
  onBack,
  trans
}: {
  fn: IFunction;
  actions: IFunctionActions;
  onBack: () => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const fields = fieldsOf(fn) ?? [];
  const [texts, setTexts] = React.useState<Record<string, string>>({});
  const [wrong, setWrong] = React.useState<string | null>(null);
  const [run, setRun] = React.useState<IRun | null>(null);
  const isRunning = run?.state === 'running';
  const value = React.useRef<HTMLPreElement>(null);
  React.useEffect(() => {
    value.current?.scrollIntoView({ block: 'nearest' });
  }, [run]);

  const submit = (event: React.FormEvent) => {
    event.preventDefault();
    const found = argumentsOf(fields, texts);
    if ('wrong' in found) {
      setWrong(found.wrong);
      return;
    }
    setWrong(null);
    setRun({ call_id: '', state: 'running', text: '' });
    void actions.run(fn, found.values, setRun);
  };

  return (
    <form className="jp-EasyRemote-form" onSubmit={submit} noValidate>
      <button
        type="button"
        className="jp-EasyRemote-back"
        autoFocus
        onClick={onBack}
      >
        ‹ {trans.__('All functions')}
      </button>
      <h3 dir="auto">
        {fn.name} <span className="jp-EasyRemote-aside">{fn.node_id}</span>
      </h3>
      {fields.map(field => (
        <Field
          key={field.name}
          field={field}
          text={texts[field.name] ?? field.initial}
          isWrong={wrong === field.name}
          onText={text => {
            setTexts({ ...texts, [field.name]: text });
          }}
          trans={trans}
        />
      ))}
      <div className="jp-EasyRemote-formButtons">
        <button
          type="submit"
          className="jp-EasyRemote-button"
          disabled={isRunning}
        >
          {trans.__('Run')}
        </button>
        {isRunning && run.call_id !== '' && (
          <button
            type="button"
            className="jp-EasyRemote-button"
            onClick={() => {
              void actions.cancel(run);
            }}
          >
            {trans.__('Cancel')}
          </button>
        )}
        <span className="jp-EasyRemote-aside" role="status">
          {run === null ? '' : stateWord(run, trans)}
        </span>
      </div>
      {run !== null && run.text !== '' && (
        <pre ref={value} className={`jp-mod-${run.state}`} tabIndex={0}>
          {run.text}
        </pre>
      )}
    </form>
  );
}

function Field({
  field,
  text,
  isWrong,
  onText,
  trans
}: {
  field: IField;
  text: string;
  isWrong: boolean;
  onText: (text: string) => void;
  trans: TranslationBundle;
}): React.ReactElement {
  const id = `jp-EasyRemote-field-${field.name}`;
  return (
    <div className="jp-EasyRemote-field">
      <label htmlFor={id}>
        {field.name}
        {field.isRequired && <span aria-hidden> *</span>}
      </label>
      <Input
        id={id}
        field={field}
        text={text}
        isWrong={isWrong}
        onText={onText}
      />
      {isWrong && (
        <span id={`${id}-wrong`} role="alert">
          {hint(field, trans)}
        </span>
      )}
    </div>
  );
}

function Input({
  id,
  field,
  text,
  isWrong,
  onText
}: {
  id: string;
  field: IField;
  text: string;
  isWrong: boolean;
  onText: (text: string) => void;
}): React.ReactElement {
  if (field.kind === 'choice' || field.kind === 'boolean') {
    const choices = field.kind === 'choice' ? field.choices : ['false', 'true'];
    return (
      <select
        id={id}
        value={text}
        aria-invalid={isWrong}
        onChange={event => {
          onText(event.target.value);
        }}
      >
        {text === '' && <option value="">–</option>}
        {choices.map(choice => (
          <option key={choice} value={choice}>
            {choice.replace(/^"(.*)"$/, '$1')}
          </option>
        ))}
      </select>
    );
  }
  return (
    <input
      id={id}
      value={text}
      aria-required={field.isRequired}
      aria-invalid={isWrong}
      aria-describedby={isWrong ? `${id}-wrong` : undefined}
      inputMode={
        field.kind === 'integer' || field.kind === 'number'
          ? 'decimal'
          : undefined
      }
      placeholder={field.kind}
      onChange={event => {
        onText(event.target.value);
      }}
    />
  );
}

function hint(field: IField, trans: TranslationBundle): string {
  switch (field.kind) {
    case 'integer':
      return trans.__('Enter a whole number.');
    case 'number':
      return trans.__('Enter a number.');
    case 'json':
      return trans.__('Enter JSON, as in [1, 2], {"a": 1} or "text".');
    default:
      return trans.__('Enter a value.');
  }
}

function stateWord(run: IRun, trans: TranslationBundle): string {
  switch (run.state) {
    case 'running':
      return trans.__('running');
    case 'done':
      return trans.__('done');
    case 'failed':
      return trans.__('failed');
  }
}
