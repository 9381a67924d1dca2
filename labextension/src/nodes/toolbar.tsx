/** Search, filters and order of the nodes. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IOptions } from '../core/options';
import { SearchField } from '../ui/searchField';
import { Choice } from './select';

export interface IToolbarProps {
  query: string;
  onQuery: (query: string) => void;
  choice: Choice;
  onChoice: <K extends keyof Choice>(key: K, value: IOptions[K]) => void;
  /** How many of all nodes are shown. */
  shown: number;
  total: number;
  trans: TranslationBundle;
}

export function Toolbar({
  query,
  onQuery,
  choice,
  onChoice,
  shown,
  total,
  trans
}: IToolbarProps): React.ReactElement {
  return (
    <div className="jp-EasyRemote-toolbar">
      <SearchField
        label={trans.__('Search nodes')}
        query={query}
        onQuery={onQuery}
      />
      <div className="jp-EasyRemote-chips">
        <Chip
          text={trans.__('Online')}
          isOn={choice.onlyOnline}
          onToggle={isOn => {
            onChoice('onlyOnline', isOn);
          }}
        />
        <Chip
          text={trans.__('GPU')}
          isOn={choice.onlyGpu}
          onToggle={isOn => {
            onChoice('onlyGpu', isOn);
          }}
        />
        {shown < total && (
          <span className="jp-EasyRemote-aside">
            {trans.__('%1 of %2', shown, total)}
          </span>
        )}
        <select
          aria-label={trans.__('Order of the nodes')}
          value={choice.sort}
          onChange={event => {
            onChoice('sort', event.target.value as IOptions['sort']);
          }}
        >
          <option value="name">{trans.__('By name')}</option>
          <option value="load">{trans.__('By load')}</option>
        </select>
      </div>
    </div>
  );
}

function Chip({
  text,
  isOn,
  onToggle
}: {
  text: string;
  isOn: boolean;
  onToggle: (isOn: boolean) => void;
}): React.ReactElement {
  return (
    <button
      className="jp-EasyRemote-chip"
      aria-pressed={isOn}
      onClick={() => {
        onToggle(!isOn);
      }}
    >
      {text}
    </button>
  );
}
