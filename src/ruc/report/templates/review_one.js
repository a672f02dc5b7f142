// One image at a time, with the reason in pictures.

const mostKeyed = 9; // clusters that a digit stands for

// What a look at an image can be expected to mend: by its own doubt, and that of its look-alikes, which one key settles
// too; squared, since many that are a little doubtful are mostly right.
function gain(row) {
  let total = current.doubt[row] ** 2;
  for (let at = row * data.nNeighbors; at < (row + 1) * data.nNeighbors; at++) {
    const other = base.neighbors[at];
    if (current.cluster[other] === current.cluster[row] && !isDecided(other)) total += current.doubt[other] ** 2;
  }
  return total;
}

function oneReview(desk) {
  let row = -1;

  const group = (isGroup) => (isGroup ? [row, ...lookAlikes(row)] : [row]);

  function place(cluster, isGroup) {
    const rows = group(isGroup);
    desk.commit(rows, [{ op: 'move', rows, cluster }]);
  }

  function throwAway(isGroup) {
    const rows = group(isGroup);
    const [junk] = [...current.junk].filter((cluster) => !current.mergedInto.has(cluster));
    const target = junk === undefined ? current.names.length : junk;
    desk.commit(rows, [{ op: 'move', rows, cluster: target }, ...(junk === undefined ? [{ op: 'junk', cluster: target, junk: true }] : [])]);
  }

  function option(key, cluster, title, action) {
    const typical = byKey(members(cluster).filter((one) => one !== row), (one) => base.rank[one] + (isDoubtful(one) ? 65536 : 0)).filter((one) => isPictured(one) || !data.hasImages).slice(0, 5);
    return h('li', null, button([h('kbd', null, key), h('span', { class: 'option-title' }, chip(cluster), h('span', { class: 'note' }, title)),
      h('span', { class: 'option-pictures', 'aria-hidden': 'true' }, typical.map((one) => picture(one, '')))], () => action(false), { class: 'option', 'data-action': `to-${cluster}`, 'aria-label': `${key}: ${clusterName(cluster)}, ${title}` }));
  }

  function draw() {
    const own = current.cluster[row];
    const alike = lookAlikes(row);
    const marked = new Set(alike);
    const others = candidates(row).slice(0, mostKeyed);
    const nNear = nearestOf(row).filter((other) => current.cluster[other] === own).length;
    replaceChildren(desk.content, desk.head(),
      h('div', { class: 'review-image', 'data-row': row }, original(row), h('p', { class: 'file-name' }, data.fileNames[row]),
        h('p', { class: 'note' }, `${percent(confidence(row))} sure; ${number(nNear)} of its ${number(data.nNeighbors)} nearest are in ${clusterName(own)}.`)),
      h('div', { class: 'review-side' },
        h('h3', null, 'Is it right in ', chip(own), '?'),
        h('ol', { class: 'options' }, option('y', own, 'yes, it is', () => place(own, false)),
          others.map((cluster, index) => option(index ? String(index + 1) : '→', cluster, index ? '' : 'no, it belongs here', () => place(cluster, false)))),
        h('div', { class: 'review-actions' },
          button([h('kbd', null, 'j'), ' junk'], () => throwAway(false)), button([h('kbd', null, 's'), ' skip'], () => desk.commit([row], [])),
          button([h('kbd', null, 'u'), ' undo'], desk.takeBack, { disabled: !edits.length }), button([h('kbd', null, 'Esc'), ' close'], desk.close, { class: 'quiet' }))),
      h('div', { class: 'review-near' },
        h('p', { class: 'strip-title' }, `Its nearest ${nouns}`, alike.length > 0 && h('span', { class: 'note' }, `; with Shift a key counts for the ${number(alike.length)} marked ones too`)),
        nearestStrip(row, (other) => openDetail(other, nearestOf(row)), (other) => marked.has(other))));
  }

  return {
    show(rows) {
      const open = openRows();
      row = rows ? rows[0] : open.length ? open.reduce((best, one) => (gain(one) > gain(best) ? one : best), open[0]) : -1;
      if (row < 0) reviewEnd(desk);
      else draw();
    },
    onKey(event) {
      if (row < 0) return false;
      const isGroup = event.shiftKey;
      const others = candidates(row).slice(0, mostKeyed);
      const digit = Number((event.code.match(/^(?:Digit|Numpad)([1-9])$/) || [])[1]);
      if (event.key.toLowerCase() === 'y') place(current.cluster[row], isGroup);
      else if (event.key === 'ArrowRight' && others.length) place(others[0], isGroup);
      else if (digit && others[digit - 1] !== undefined) place(others[digit - 1], isGroup);
      else if (event.key.toLowerCase() === 'j') throwAway(isGroup);
      else if (event.key.toLowerCase() === 's') desk.commit(group(isGroup), []);
      else return false;
      return true;
    },
  };
}
