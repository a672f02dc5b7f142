// Review by keyboard: one image at a time, with the reason in pictures, in the order that pays most.

const budget = 30; // images in a sitting, where more are doubtful than anybody looks through
const mostLookedThrough = 200;
const mostKeyed = 9; // clusters that a digit stands for
const seen = new Set(storedList('ruc-seen'));

function openRows() {
  const rows = [];
  for (let row = 0; row < nRows; row++) if (!isDecided(row) && !seen.has(row)) rows.push(row);
  return rows;
}

// What a look at an image can be expected to mend: by its own doubt, and that of its look-alikes, which one key settles
// too; squared, since many that are a little doubtful are mostly right.
function gain(row) {
  let sum = current.doubt[row] ** 2;
  for (let at = row * data.nNeighbors; at < (row + 1) * data.nNeighbors; at++) {
    const other = base.neighbors[at];
    if (current.cluster[other] === current.cluster[row] && !isDecided(other)) sum += current.doubt[other] ** 2;
  }
  return sum;
}

function buildReview() {
  const content = h('div', { class: 'review-content' });
  const dialog = h('dialog', { id: 'review', class: 'review', 'aria-label': 'Review by keyboard' }, content, h('div', { class: 'announcer visually-hidden', role: 'status', 'aria-live': 'polite' }));
  document.body.append(dialog);
  let row = -1;
  let nDone = 0;

  function next() {
    const rows = openRows();
    row = rows.length ? rows.reduce((best, one) => (gain(one) > gain(best) ? one : best), rows[0]) : -1;
    show();
  }

  function done(rows) {
    for (const one of rows) seen.add(one);
    storeList('ruc-seen', seen);
    nDone += 1;
    next();
  }

  const group = (isGroup) => (isGroup ? [row, ...lookAlikes(row)] : [row]);

  function place(cluster, isGroup) {
    const rows = group(isGroup);
    moveTo(rows, cluster);
    done(rows);
  }

  function throwAway(isGroup) {
    const rows = group(isGroup);
    const [junk] = [...current.junk].filter((cluster) => !current.mergedInto.has(cluster));
    const target = junk === undefined ? current.names.length : junk;
    moveTo(rows, target);
    if (junk === undefined) edit({ op: 'junk', cluster: target, junk: true });
    done(rows);
  }

  function takeBack() {
    const [last] = edits.slice(-1);
    undo();
    if (last && last.op === 'move') {
      for (const one of last.rows) seen.delete(one);
      [row] = last.rows;
      nDone = Math.max(0, nDone - 1);
      show();
    } else next();
  }

  function option(key, cluster, title, action) {
    const typical = byKey(members(cluster).filter((one) => one !== row), (one) => base.rank[one] + (isDoubtful(one) ? 65536 : 0)).filter((one) => isPictured(one) || !data.hasImages).slice(0, 5);
    return h('li', null, button([h('kbd', null, key), h('span', { class: 'option-title' }, chip(cluster), h('span', { class: 'note' }, title)),
      h('span', { class: 'option-pictures', 'aria-hidden': 'true' }, typical.map((one) => picture(one, '')))], () => action(false), { class: 'option', 'data-action': `to-${cluster}`, 'aria-label': `${key}: ${clusterName(cluster)}, ${title}` }));
  }

  function show() {
    if (row < 0) {
      replaceChildren(content, h('div', { class: 'review-end' }, emptyState(`Every ${noun} has been seen`, 'Close this, look at the suggestions once more, and download your edits.'), button('Close', () => dialog.close(), { class: 'primary' })));
      return;
    }
    const own = current.cluster[row];
    const alike = lookAlikes(row);
    const marked = new Set(alike);
    const others = candidates(row).slice(0, mostKeyed);
    const nNear = nearestOf(row).filter((other) => current.cluster[other] === own).length;
    const nLeft = openRows().filter(isDoubtful).length;
    replaceChildren(content,
      h('div', { class: 'review-image' }, original(row), h('p', { class: 'file-name' }, data.fileNames[row]),
        h('p', { class: 'note' }, `${percent(confidence(row))} sure; ${number(nNear)} of its ${number(data.nNeighbors)} nearest are in ${clusterName(own)}.`)),
      h('div', { class: 'review-side' },
        h('p', { class: 'eyebrow' }, `${number(nDone)} seen; ${nLeft > mostLookedThrough ? `${number(nLeft)} left, ${number(Math.max(0, budget - nDone % budget))} in this sitting` : `${number(nLeft)} doubtful left`}`),
        h('h3', null, 'Is it right in ', chip(own), '?'),
        h('ol', { class: 'options' }, option('y', own, 'yes, it is', () => place(own, false)),
          others.map((cluster, index) => option(index ? String(index + 1) : '→', cluster, index ? '' : 'no, it belongs here', () => place(cluster, false)))),
        h('div', { class: 'review-actions' },
          button([h('kbd', null, 'j'), ' junk'], () => throwAway(false)), button([h('kbd', null, 's'), ' skip'], () => done([row])),
          button([h('kbd', null, 'u'), ' undo'], takeBack, { disabled: !edits.length }), button([h('kbd', null, 'Esc'), ' close'], () => dialog.close(), { class: 'quiet' }))),
      h('div', { class: 'review-near' },
        h('p', { class: 'strip-title' }, `Its nearest ${nouns}`, alike.length > 0 && h('span', { class: 'note' }, `; with Shift a key counts for the ${number(alike.length)} marked ones too`)),
        nearestStrip(row, (other) => openDetail(other, nearestOf(row)), (other) => marked.has(other))));
    dialog.dataset.row = row;
  }

  dialog.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || row < 0 || event.target.tagName === 'SELECT') return;
    const isGroup = event.shiftKey;
    const others = candidates(row).slice(0, mostKeyed);
    const digit = Number((event.code.match(/^(?:Digit|Numpad)([1-9])$/) || [])[1]);
    if (event.key.toLowerCase() === 'y') place(current.cluster[row], isGroup);
    else if (event.key === 'ArrowRight' && others.length) place(others[0], isGroup);
    else if (digit && others[digit - 1] !== undefined) place(others[digit - 1], isGroup);
    else if (event.key.toLowerCase() === 'j') throwAway(isGroup);
    else if (event.key.toLowerCase() === 's') done(group(isGroup));
    else if (event.key === 'u') takeBack();
    else return;
    event.preventDefault();
    event.stopPropagation();
    dialog.focus();
  });
  dialog.addEventListener('close', () => { isReviewing = false; for (const listener of listeners) listener(); });

  return function open() {
    if (!data.nNeighbors) return;
    isReviewing = true;
    next();
    dialog.showModal();
    dialog.focus();
  };
}
