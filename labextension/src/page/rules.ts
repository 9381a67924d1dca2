/** The owner's rules of a node, as a form has them. No DOM. */

/** What the server answers about them. */
export interface IRules {
  /** By name, as people write them; what is not there is not limited. */
  rules: Record<string, string>;
  /** Where the node keeps them; empty where they hold until it ends. */
  file: string;
  /** Those that the node was started with. */
  at_start: Record<string, string>;
  /** What is wrong with a change, by name. */
  refused: Record<string, string>;
}

/** What is written in the form, by rule; empty where there is no limit. */
export type Written = Partial<Record<string, string>>;

/** A word that says what is so without the rule. */
const WITHOUT: Written = {
  only_when_idle: 'no',
  on_battery: 'yes',
  when_busy: 'go-on'
};

/** What the form shows for these rules. */
export function written({ rules }: IRules): Written {
  return Object.fromEntries(
    Object.entries(rules).filter(([name, words]) => WITHOUT[name] !== words)
  );
}

/** What has to be changed for the rules to be as they are written now; null lifts one. */
export function changes(
  before: IRules,
  now: Written
): Record<string, string | null> {
  const was = written(before);
  const found: Record<string, string | null> = {};
  for (const name of new Set([...Object.keys(was), ...Object.keys(now)])) {
    const words = now[name]?.trim() ?? '';
    if (words !== (was[name] ?? '')) {
      found[name] = words === '' ? null : words;
    }
  }
  return found;
}

/** The rules that are other ones again when the node is started the same way. */
export function startsWith({ at_start, rules }: IRules): string[] {
  return Object.keys(at_start)
    .filter(name => at_start[name] !== rules[name])
    .map(name => `--${name.replaceAll('_', '-')} ${at_start[name]}`);
}
