/** Keeps a lease only while somebody can see the element. */

import { IDisposable } from '@lumino/disposable';
import * as React from 'react';

/**
 * Acquire the lease while the element can be seen: in an open section, in front.
 * A hidden page is not looked at here: there the connection itself pauses.
 */
export function useWhileSeen(
  acquire: () => IDisposable
): React.RefObject<HTMLDivElement> {
  const box = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    let lease: IDisposable | null = null;
    const release = () => {
      lease?.dispose();
      lease = null;
    };
    const observer = new IntersectionObserver(entries => {
      if (entries.at(-1)?.isIntersecting) {
        lease ??= acquire();
      } else {
        release();
      }
    });
    if (box.current !== null) {
      observer.observe(box.current);
    }
    return () => {
      observer.disconnect();
      release();
    };
  }, [acquire]);
  return box;
}
