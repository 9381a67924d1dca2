import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const TEXT = /trans\s*\.(__|_n)\(\s*'((?:[^'\\]|\\.)*)'/g;
const CHINESE =
  '../../../jupyter_extension/easyremote_jupyter/locale/zh_CN/LC_MESSAGES/easyremote.json';

/** The texts that are shown, as the sources have them, and whether they have a plural. */
function texts(): Map<string, boolean> {
  const cwd = fileURLToPath(new URL('..', import.meta.url));
  const files = globSync('**/*.{ts,tsx}', { cwd }).filter(
    file => !file.includes('.spec.')
  );
  return new Map(
    files.flatMap(file =>
      [...readFileSync(cwd + file, 'utf8').matchAll(TEXT)].map(
        ([, form, text]): [string, boolean] => [text, form === '_n']
      )
    )
  );
}

function places(text: string): string[] {
  return (text.match(/%\d/g) ?? []).sort();
}

const { '': header, ...chinese } = JSON.parse(
  readFileSync(new URL(CHINESE, import.meta.url), 'utf8')
) as Record<string, string[]>;

describe('the Chinese catalogue', () => {
  it('has every text of the sources, and no other', () => {
    expect(texts().size).toBeGreaterThan(50);
    expect(Object.keys(chinese).sort()).toEqual([...texts().keys()].sort());
  });

  it('is one that JupyterLab takes', () => {
    expect(header).toMatchObject({ domain: 'easyremote', language: 'zh-CN' });
  });

  it('keeps the places of the values', () => {
    for (const [id, [text]] of Object.entries(chinese)) {
      expect(places(text), id).toEqual(places(id));
    }
  });

  it('has a text twice where it has a plural, which JupyterLab asks for', () => {
    for (const [id, isPlural] of texts()) {
      expect(chinese[id].length, id).toBe(isPlural ? 2 : 1);
    }
  });
});
