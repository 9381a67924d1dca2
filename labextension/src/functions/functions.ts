/** Functions of nodes: their fields in a form, and the code that calls them. No DOM. */

/** What is used of JSON Schema. */
export interface ISchema {
  type?: string;
  enum?: unknown[];
  anyOf?: ISchema[];
  default?: unknown;
}

export interface IFunction {
  node_id: string;
  name: string;
  signature: string;
  doc: string;
  /** Whether it is a generator. */
  streams: boolean;
  /** Seconds that a call may run; 0 for no limit. */
  timeout: number;
  /** Calls at a time; 0 for as many as its node has slots. */
  max_concurrency: number;
  /** Whether it is an HTTP endpoint of the gateway. */
  public: boolean;
  /** What a call needs of the machine, and what more it was seen to hold. */
  needs: string;
  /** Of the object of its arguments; null where a form can't have them. */
  parameters: {
    properties?: Record<string, ISchema>;
    required?: string[];
  } | null;
}

export interface IField {
  name: string;
  kind: 'integer' | 'number' | 'boolean' | 'string' | 'choice' | 'json';
  /** Of a choice: as JSON. */
  choices: string[];
  isRequired: boolean;
  /** The first text of the field. */
  initial: string;
}

/** The fields of a form for a function; null where there can't be one. */
export function fieldsOf({ parameters, streams }: IFunction): IField[] | null {
  if (parameters === null || streams) {
    return null;
  }
  const required = new Set(parameters.required);
  return Object.entries(parameters.properties ?? {}).map(([name, schema]) => {
    const kind = kindOf(schema);
    return {
      name,
      kind,
      choices: (schema.enum ?? []).map(each => JSON.stringify(each)),
      isRequired: required.has(name),
      initial: initial(schema, kind)
    };
  });
}

/** The arguments of a form, or the name of the first field that is not right. */
export function argumentsOf(
  fields: readonly IField[],
  texts: Readonly<Record<string, string>>
): { values: Record<string, unknown> } | { wrong: string } {
  const values: Record<string, unknown> = {};
  for (const field of fields) {
    const text = texts[field.name] ?? field.initial;
    if (text.trim() === '' && (field.kind !== 'string' || !field.isRequired)) {
      if (field.isRequired) {
        return { wrong: field.name };
      }
      continue; // the function has a default
    }
    const value = parsed(field, text);
    if (value === undefined) {
      return { wrong: field.name };
    }
    values[field.name] = value;
  }
  return { values };
}

/** A cell that calls the function: its stub, and a call of it. */
export function callCell(fn: IFunction): string {
  const fields = Object.entries(fn.parameters?.properties ?? {});
  const required = new Set(fn.parameters?.required ?? []);
  const isName = /^[A-Za-z_]\w*$/.test(fn.name);
  const name = isName ? fn.name : 'function';
  const options = [`node_id=${JSON.stringify(fn.node_id)}`];
  if (!isName) {
    options.push(`function_name=${JSON.stringify(fn.name)}`);
  }
  if (fn.streams) {
    options.push('stream=True');
  }
  const parameters = fields.map(([parameter, schema]) =>
    required.has(parameter)
      ? parameter
      : `${parameter}=${'default' in schema ? python(schema.default) : 'None'}`
  );
  const takes =
    fn.parameters === null ? '*args, **kwargs' : parameters.join(', ');
  const given = fields
    .map(([parameter]) => parameter)
    .filter(parameter => required.has(parameter))
    .map(parameter => `${parameter}=...`)
    .join(', ');
  const call = fn.streams
    ? `for item in ${name}(${given}):\n    print(item)`
    : `${name}(${given})`;
  return [
    'from easyremote import remote',
    '',
    `@remote(${options.join(', ')})`,
    `def ${name}(${takes}): ...`,
    '',
    call
  ].join('\n');
}

/** Those that have all words of the query in their name, node or documentation. */
export function search(
  functions: readonly IFunction[],
  query: string
): IFunction[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return functions
    .filter(({ name, node_id, doc }) => {
      const text = `${name}\n${node_id}\n${doc}`.toLowerCase();
      return words.every(word => text.includes(word));
    })
    .sort(
      (a, b) =>
        a.node_id.localeCompare(b.node_id) || a.name.localeCompare(b.name)
    );
}

/** A value as Python writes it. */
export function python(value: unknown): string {
  if (value === null || value === undefined) {
    return 'None';
  }
  if (typeof value === 'boolean') {
    return value ? 'True' : 'False';
  }
  if (Array.isArray(value)) {
    return `[${value.map(python).join(', ')}]`;
  }
  if (typeof value === 'object') {
    const items = Object.entries(value).map(
      ([key, each]) => `${JSON.stringify(key)}: ${python(each)}`
    );
    return `{${items.join(', ')}}`;
  }
  return JSON.stringify(value);
}

function kindOf(schema: ISchema): IField['kind'] {
  if (schema.enum !== undefined) {
    return 'choice';
  }
  switch (schema.type) {
    case 'integer':
    case 'number':
    case 'boolean':
    case 'string':
      return schema.type;
    default:
      return 'json';
  }
}

function initial(schema: ISchema, kind: IField['kind']): string {
  const value = schema.default;
  if (value === undefined || value === null) {
    return '';
  }
  return kind === 'string' && typeof value === 'string'
    ? value
    : JSON.stringify(value);
}

/** The value of a field, or undefined where its text is none. */
function parsed(field: IField, text: string): unknown {
  if (field.kind === 'string') {
    return text;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (field.kind === 'integer') {
    return Number.isInteger(value) ? value : undefined;
  }
  if (field.kind === 'number') {
    return typeof value === 'number' ? value : undefined;
  }
  return value;
}
