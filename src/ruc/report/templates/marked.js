// Images that were marked: outliers, copies beside what they are copies of, and whatever other marks there are.

const markLeads = {
  is_outlier: `Unlike all other ${nouns}, whatever their cluster.`,
  copy_of: 'The same bytes, each beside the first of them.',
  near_copy_of: `Almost the same, each beside the earlier ${noun} that it is like.`,
};

// With copies comes what they are copies of, first.
function rowsOfMark(mark, rowByName) {
  const rows = [];
  const groups = new Map();
  for (let row = 0; row < nRows; row++) {
    const text = markText(mark, row);
    if (text === '') continue;
    const original = mark.kind === 'text' ? rowByName.get(text) : undefined;
    if (original === undefined) { rows.push(row); continue; }
    if (!groups.has(original)) groups.set(original, []);
    groups.get(original).push(row);
  }
  return [...rows, ...[...groups].flatMap(([original, copies]) => [original, ...copies])];
}

function buildMarked() {
  const found = data.marks.filter(isFilter);
  if (!found.length) return;
  const rowByName = new Map(data.fileNames.map((name, row) => [name, row]));
  const rowsOf = new Map(found.map((mark) => [mark, rowsOfMark(mark, rowByName)]));
  const nMarked = (mark) => rowsOf.get(mark).filter((row) => markText(mark, row) !== '').length;
  let [shown] = found;
  const tabs = h('div', { class: 'tabs', role: 'group', 'aria-label': 'Marks' });
  const lead = h('p', { class: 'note marked-lead' });
  const captionOf = (row) => {
    const text = markText(shown, row);
    if (shown.kind !== 'text') return h('span', null, percent(confidence(row)));
    if (text === '') return h('span', null, 'the first');
    return h('span', { title: text }, rowByName.has(text) ? `of ${text.split('/').pop()}` : text);
  };
  const pictures = gallery(() => rowsOf.get(shown), { label: 'Marked', caption: (row) => h('span', { class: 'tile-caption one-line' }, chip(current.cluster[row]), captionOf(row)) });
  const element = section('marked', `Marked ${nouns}`, `Nothing was dropped: tick what you want to move or throw away.`, tabs, lead, pictures.element);

  function update() {
    replaceChildren(tabs, found.map((mark) => button([markName(mark), h('span', { class: 'count' }, number(nMarked(mark)))], () => { shown = mark; keepingFocus(update); pictures.restart(); }, { 'aria-pressed': String(mark === shown), 'data-action': `mark-${mark.name}` })));
    lead.textContent = markLeads[shown.name] || '';
    pictures.update();
  }
  whenNear(element, () => { update(); listeners.push(() => pictures.update()); });
}
