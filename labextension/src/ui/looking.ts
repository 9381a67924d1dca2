/** Something that is wanted only while somebody can see it. */

import { IDisposable } from '@lumino/disposable';
import * as React from 'react';

/**
 * Acquire it while the element can be seen: in an open section, in front. What
 * lies in a hidden page is not told apart: there the connection rests by itself.
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
