// Where the page is served (`ruc open`), the list of edits is the server's: it goes into the run at once, and other pages
// that are open show it too.

const live = data.liveToken ? { token: data.liveToken, sending: Promise.resolve(), known: 0 } : null;
const rowOf = live ? new Map(data.fileNames.map((name, row) => [name, row])) : null;

// The same edit with rows in place of the names of files; of one that this page doesn't know nothing is shown.
function withRows(change) {
  const rowsOf = (names) => names.map((name) => rowOf.get(name));
  if (change.op === 'move') return { op: 'move', rows: rowsOf(change.file_names), cluster: change.cluster };
  if (change.op === 'split') return { op: 'split', cluster: change.cluster, parts: change.parts.map(rowsOf) };
  return change;
}

function sendEdit(change) {
  send(() => ({ known: live.known, edits: [withNames(change)] }));
}

function sendUndo() {
  send(() => ({ known: live.known, undo: true }));
}

// One after another, since each says how many edits it knows of.
function send(bodyOf) {
  live.sending = live.sending.then(async () => {
    try {
      const response = await fetch('/edits', { method: 'POST', headers: { 'X-Ruc-Token': live.token }, body: JSON.stringify(bodyOf()) });
      const answer = await response.json();
      live.known = answer.edits.length;
      if (!response.ok) takeOver(answer.edits, answer.message);
    } catch (error) {
      liveMessage('Not saved: the server is gone. Start ruc open again, then load this page anew.');
    }
  });
}

function takeOver(list, message) {
  live.known = list.length;
  edits = list.filter(({ op }) => op in performers).map(withRows);
  undone = [];
  replay();
  changedNow(message);
  if (message) liveMessage(message);
}

function liveMessage(text) {
  document.getElementById('main').prepend(h('p', { class: 'live-message', role: 'alert' }, text, ' ', button('Close', (event) => event.target.parentElement.remove(), { class: 'link' })));
}

// Waits for what others do, as long as the page is open.
async function listen() {
  for (;;) {
    const { known } = live;
    try {
      const response = await fetch(`/edits?token=${live.token}&known=${known}`);
      const { edits: list } = await response.json();
      await live.sending; // what this page did is no news
      if (live.known === known && list.length !== known) takeOver(list, 'Edited in another window');
    } catch (error) {
      return; // the server was closed
    }
  }
}

async function startLive() {
  if (!live) return;
  const response = await fetch(`/edits?token=${live.token}`);
  const { edits: list } = await response.json();
  if (list.length) takeOver(list, '');
  listen();
}

function originalAddress(row) {
  return live && data.hasImages ? `/image/${row}?token=${live.token}` : null;
}
