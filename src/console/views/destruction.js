// Destroying a connector, with its name asked back.

import { connectorPath, request } from '../api.js';
import { announce, confirmation } from '../parts.js';
import { session } from '../session.js';

/** The dialog of a view; `ask(connector)` opens it, `done` is called once a connector is gone. */
export function destruction(redraw, done) {
  let dialog = null;
  return {
    ask(connector) {
      dialog = confirmation(
        {
          id: 'destruction',
          title: 'Destroy this connector?',
          text: 'Its endpoint and credentials are removed here. Tools that ask for it will not find it any more. The data in the cloud stays.',
          name: connector.name,
          button: 'Destroy',
          act: async () => {
            await request('DELETE', connectorPath(connector.id));
            session.keepDraft(`connector-${connector.id}`, null);
            announce(`${connector.name} is destroyed`);
            done();
          },
        },
        redraw,
      );
      dialog.open();
    },
    draw: () => dialog?.draw(),
  };
}
