// Review by keyboard: twelve images at a time, or one with the reason in pictures; what pays most first.

const budget = 30; // images in a sitting, where more are doubtful than anybody looks through
const mostLookedThrough = 200;
const seen = new Set(storedList('ruc-seen'));

function openRows() {
  const rows = [];
  for (let row = 0; row < nRows; row++) if (!isDecided(row) && !seen.has(row)) rows.push(row);
  return rows;
}

function buildReview() {
  const content = h('div', { class: 'review-content' });
  const dialog = h('dialog', { id: 'review', class: 'review', 'aria-label': 'Review by keyboard' }, content, h('div', { class: 'announcer visually-hidden', role: 'status', 'aria-live': 'polite' }));
  document.body.append(dialog);
  const past = []; // what was decided since it was opened: { rows, nEdits, nMoved, mode }
  const desk = { content, commit, takeBack, change, head, close: () => dialog.close() };
  const modes = { sheet: sheetReview(desk), one: oneReview(desk) };
  let mode = 'sheet';

  function show(rows) {
    dialog.dataset.mode = mode;
    modes[mode].show(rows);
  }

  function change() {
    mode = mode === 'sheet' ? 'one' : 'sheet';
    show();
  }

  // These rows are decided, by these edits; rows without an edit are left as they are and not asked again.
  function commit(rows, changes) {
    const before = rows.map((row) => current.cluster[row]);
    for (const one of changes) edit(one);
    const nMoved = rows.filter((row, at) => current.cluster[row] !== before[at]).length;
    past.push({ rows, nEdits: changes.length, nMoved, mode });
    for (const row of rows) seen.add(row);
    storeList('ruc-seen', seen);
    show();
  }

  function takeBack() {
    const last = past.pop();
    if (!last) { undo(); show(); return; }
    for (let count = 0; count < last.nEdits; count++) undo();
    for (const row of last.rows) seen.delete(row);
    storeList('ruc-seen', seen);
    mode = last.mode;
    show(last.rows);
  }

  function head() {
    const nSeen = sum(past.map(({ rows }) => rows.length));
    const nMoved = sum(past.map((one) => one.nMoved));
    const nLeft = openRows().filter(isDoubtful).length;
    return h('div', { class: 'review-head' },
      h('p', { class: 'eyebrow' }, nSeen > 0 && `${number(nSeen)} decided, ${number(nMoved)} of them moved; `,
        nLeft > mostLookedThrough ? `${number(nLeft)} doubtful left, the ${budget} that pay most first` : `${number(nLeft)} doubtful left`),
      button([mode === 'sheet' ? 'One at a time ' : 'Twelve at a time ', h('kbd', null, 'o')], change, { class: 'quiet', 'data-action': 'mode' }));
  }

  dialog.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'SELECT') return;
    if (event.key === 'u') takeBack();
    else if (event.key === 'o') change();
    else if (!modes[mode].onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
    dialog.focus();
  });
  dialog.addEventListener('close', () => { isReviewing = false; for (const listener of listeners) listener(); });

  return function open(as) {
    if (!data.nNeighbors) return;
    isReviewing = true;
    mode = as;
    past.length = 0;
    show();
    dialog.showModal();
    dialog.focus();
  };
}

function reviewEnd(desk) {
  replaceChildren(desk.content, h('div', { class: 'review-end' }, emptyState(`Every ${noun} has been seen`, 'Close this, look at the suggestions once more, and download your edits.'), button('Close', desk.close, { class: 'primary' })));
}
