/** The field to search something in. */

import * as React from 'react';

export function SearchField({
  label,
  query,
  onQuery,
  onEnter
}: {
  label: string;
  query: string;
  onQuery: (query: string) => void;
  /** Enter, and Shift+Enter for backwards. */
  onEnter?: (isBackwards: boolean) => void;
}): React.ReactElement {
  return (
    <input
      type="search"
      className="jp-EasyRemote-search"
      aria-label={label}
      placeholder={label}
      value={query}
      onChange={event => {
        onQuery(event.target.value);
      }}
      onKeyDown={event => {
        if (event.key === 'Enter') {
          onEnter?.(event.shiftKey);
        }
      }}
    />
  );
}
