/** What has been used on a node, by key: a table. */

import { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';
import { IUsageList } from '../core/protocol';
import { CallServer, messageOf } from '../core/request';
import { heads, lines } from './usage';

/** The table; it is asked for anew when another job has ended there (`newest`). */
export function Used({
  nodeId,
  newest,
  call,
  trans
}: {
  nodeId: string;
  newest: string;
  call: CallServer;
  trans: TranslationBundle;
}): React.ReactElement {
  const [known, setKnown] = React.useState<IUsageList | string | null>(null);
  React.useEffect(() => {
    let isCurrent = true;
    const tell = (what: IUsageList | string) => {
      if (isCurrent) {
        setKnown(what);
      }
    };
    call<IUsageList>(`usage?node=${encodeURIComponent(nodeId)}`).then(
      tell,
      (error: unknown) => {
        tell(messageOf(error));
      }
    );
    return () => {
      isCurrent = false;
    };
  }, [call, nodeId, newest]);
  if (known === null || typeof known === 'string') {
    return <p>{known ?? trans.__('Loading…')}</p>;
  }
  const { rows } = known;
  if (rows.length === 0) {
    return <p>{trans.__('Your keys have used nothing here.')}</p>;
  }
  return (
    <>
      <table className="jp-EasyRemote-usage">
        <thead>
          <tr>
            {heads(rows, trans).map(head => (
              <th key={head} scope="col">
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {lines(rows, trans).map(([key, ...cells], row) => (
            <tr key={row}>
              <th scope="row" dir="auto">
                {key}
              </th>
              {cells.map((cell, column) => (
                <td key={column}>{cell}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length === 1 && (
        <p className="jp-EasyRemote-hint">
          {trans.__(
            'What other keys have used is shown to whoever started the gateway.'
          )}
        </p>
      )}
    </>
  );
}
