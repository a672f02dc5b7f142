// Tiles, galleries with pages, chips, and the selection that is shared by all of them.

const selection = new Set();
const selectionListeners = [];

function setSelected(rows, selected) {
  for (const row of rows) {
    if (selected) selection.add(row);
    else selection.delete(row);
  }
  for (const box of document.querySelectorAll('input[data-row]')) box.checked = selection.has(Number(box.dataset.row));
  for (const listener of selectionListeners) listener();
}

const nColours = 12;
const shapes = ['round', 'square', 'pointed']; // with the colour they tell 36 clusters apart, whatever colours one sees

const shapeOf = (cluster) => shapes[Math.floor(cluster / nColours) % shapes.length];

// With Shift all from the last one that was ticked up to this one.
let lastTicked = -1;

function selectUpTo(row, rows, isRange, selected) {
  const [from, to] = [rows.indexOf(lastTicked), rows.indexOf(row)].sort((a, b) => a - b);
  setSelected(isRange && from >= 0 ? rows.slice(from, to + 1) : [row], selected);
  lastTicked = row;
}

function swatch(cluster) {
  return h('span', {
    class: `swatch ${cluster < 0 ? 'unknown' : shapeOf(cluster)}`, 'aria-hidden': 'true',
    style: cluster < 0 ? {} : { background: `var(--c${cluster % nColours})` },
  });
}

function chip(cluster) {
  const name = cluster >= 0 && current.names[cluster];
  return h('span', { class: 'chip' }, swatch(cluster),
    h('span', { class: 'chip-number' }, cluster < 0 ? '?' : cluster),
    name && h('span', { class: 'chip-name' }, name));
}

function picture(row, alt) {
  const source = pictureSource(row);
  if (source) return h('img', { src: source, alt, decoding: 'async', draggable: 'false' });
  return h('span', { class: 'no-picture', title: data.fileNames[row] }, data.fileNames[row]);
}

function rowText(row) {
  const change = isElsewhere(row) ? `, before ${clusterName(current.initial[row])}` : '';
  return `${data.fileNames[row]}: ${clusterName(current.cluster[row])}${change}, confidence ${percent(confidence(row))}`;
}

function tile(row, rows, options) {
  const marks = [];
  if (isElsewhere(row) && !options.withoutFlags) marks.push(h('span', { class: 'flag changed', title: `Before: ${clusterName(current.initial[row])}` }, isByHand(row) ? 'you' : `${current.initial[row] < 0 ? '?' : current.initial[row]} →`));
  return h('div', { class: `tile${isDoubtful(row) ? ' doubtful' : ''}`, role: 'listitem' },
    h('div', { class: 'tile-frame' },
      button(picture(row, rowText(row)), () => openDetail(row, rows()), { class: 'tile-open', 'data-action': 'open', 'data-row': row, tabindex: '-1', title: rowText(row) }),
      h('label', { class: 'tile-tick' }, h('input', { type: 'checkbox', class: 'tile-check', tabindex: '-1', 'data-action': 'select', 'data-row': row, checked: selection.has(row), 'aria-label': `Select ${data.fileNames[row]}`, on: { click: (event) => selectUpTo(row, rows(), event.shiftKey, event.target.checked) } })),
      marks),
    options.caption ? options.caption(row) : h('span', { class: 'tile-caption' }, percent(confidence(row))));
}

// rows: a function, since edits change its answer. Only one page is in the document at a time.
function gallery(rows, options = {}) {
  const grid = h('div', { class: `grid ${options.size || ''}`, role: 'list', 'aria-label': options.label || nouns });
  const pager = h('div', { class: 'pager' });
  const element = h('div', { class: 'gallery' }, grid, pager);
  let first = 0;
  let shown = [];

  function listed() {
    const all = rows();
    return options.onlyPictured && isSample ? all.filter(isPictured) : all;
  }

  // as many as fill whole lines
  function pageSize() {
    const style = getComputedStyle(grid);
    const nColumns = style.gridTemplateColumns.split(' ').length;
    return nColumns * (options.lines || (nColumns < 3 ? 4 : nColumns < 6 ? 3 : 2));
  }

  function update() {
    const all = rows();
    shown = listed();
    const size = pageSize();
    first = Math.max(0, Math.min(first, shown.length - 1));
    const some = shown.slice(first, first + size);
    if (some.length) replaceChildren(grid, some.map((row) => tile(row, listed, options)));
    else if (all.length) replaceChildren(grid, emptyState('No pictures', `This file holds no picture of these ${nouns}. Table and map list them.`));
    else replaceChildren(grid, options.empty ? options.empty() : emptyState(`No ${nouns} here`));
    const opener = grid.querySelector('.tile-open');
    if (opener) opener.tabIndex = 0;
    const sample = shown.length < all.length ? `, a sample of ${number(all.length)}` : '';
    const hasPages = shown.length > size || first > 0;
    replaceChildren(pager,
      hasPages && button('‹', () => go(first - size), { class: 'page', disabled: first === 0, 'aria-label': 'Previous page', 'data-or': 'Next page' }),
      hasPages && button('›', () => go(first + size), { class: 'page', disabled: first + size >= shown.length, 'aria-label': 'Next page', 'data-or': 'Previous page' }),
      shown.length > 0 && h('span', { class: 'page-text' },
        hasPages ? `${number(first + 1)}–${number(Math.min(first + size, shown.length))} of ${number(shown.length)}` : plural(shown.length, noun), sample),
      some.length > 1 && button('Select these', () => setSelected(some, true), { class: 'link' }));
  }

  function go(to) {
    first = Math.max(0, to);
    keepingFocus(update);
  }

  grid.addEventListener('keydown', (event) => steerGrid(event, grid));
  grid.addEventListener('focusin', (event) => {
    if (!event.target.matches('.tile-open')) return;
    for (const opener of grid.querySelectorAll('.tile-open')) opener.tabIndex = opener === event.target ? 0 : -1;
  });
  return { element, update, restart() { first = 0; update(); } };
}

// One tab stop per grid; arrows go from tile to tile, x selects.
function steerGrid(event, grid) {
  const openers = [...grid.querySelectorAll('.tile-open')];
  const at = openers.indexOf(event.target);
  if (at < 0) return;
  const nColumns = openers.filter((one) => one.getBoundingClientRect().top === openers[0].getBoundingClientRect().top).length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -nColumns, ArrowDown: nColumns };
  if (event.key in steps) {
    const next = openers[at + steps[event.key]];
    event.preventDefault();
    if (next) next.focus();
  } else if (event.key === 'x') {
    const row = Number(event.target.dataset.row);
    setSelected([row], !selection.has(row));
  }
}

// Filled when it is about to be used: there is one in each panel, and there may be a thousand clusters.
function clusterSelect(label, onChoose, options = {}) {
  const select = h('select', { class: 'to-cluster', 'aria-label': label }, h('option', { value: '' }, label));
  function fillOnce() {
    if (select.length > 1) return;
    fill(select, null, [
      clusterOptions().filter((option) => Number(option.value) !== options.without),
      options.withNew && h('option', { value: current.names.length }, 'A new cluster')]);
  }
  select.addEventListener('focus', fillOnce);
  select.addEventListener('pointerdown', fillOnce);
  // a key would choose the first cluster that it comes to: let it open the list instead
  select.addEventListener('keydown', (event) => {
    if (!select.showPicker || !/^(Arrow|Page|Home|End|\S$)/.test(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    select.showPicker();
  });
  select.addEventListener('change', () => {
    if (select.value === '') return;
    const chosen = Number(select.value);
    select.value = '';
    onChoose(chosen);
  });
  return select;
}

function clusterOptions() {
  return clusters().map((cluster) => h('option', { value: cluster }, current.names[cluster] ? `${cluster} · ${current.names[cluster]}` : `Cluster ${cluster}`));
}

function byKey(rows, key) {
  return rows.slice().sort((a, b) => key(a) - key(b) || a - b);
}
