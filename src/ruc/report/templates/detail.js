// One image, large, with what is known about it and where it may go.

const detail = { content: h('div', { class: 'detail-content' }), rows: [], at: 0, restoreFocus: null };
detail.dialog = h('dialog', { id: 'detail', class: 'detail', 'aria-label': 'Details' },
  detail.content, h('div', { class: 'announcer visually-hidden', role: 'status', 'aria-live': 'polite' }));
document.body.append(detail.dialog);

function openDetail(row, rows) {
  detail.rows = rows;
  detail.at = Math.max(0, rows.indexOf(row));
  detail.restoreFocus = rememberFocus();
  showDetail();
  detail.dialog.showModal();
  detail.content.querySelector('.detail-steps button:not(:disabled)').focus({ preventScroll: true });
}

function stepDetail(step) {
  const next = detail.at + step;
  if (next < 0 || next >= detail.rows.length) return;
  detail.at = next;
  keepingFocus(showDetail);
}

function showDetail() {
  const row = detail.rows[detail.at];
  const own = current.cluster[row];
  const second = secondBest(row);
  const facts = [
    ['Cluster', chip(own)],
    ['Confidence', percent(confidence(row), 1)],
    ['Doubt', isByHand(row) ? '' : percent(current.doubt[row], 1)],
    ['Before RUC', current.initial[row] < 0 ? 'unknown' : chip(current.initial[row])],
    ['Used for learning', `${wasClean(row) ? 'at the start' : 'not at the start'}, ${isClean(row) ? 'at the end' : 'not at the end'}`],
    second && ['Second best', [chip(second.cluster), ` ${percent(second.share, 1)}`]],
    isByHand(row) && ['Moved', 'by you'],
    ...data.marks.map((mark) => [mark.name.replace(/^is_/, '').replaceAll('_', ' '), markText(mark, row)]),
  ].filter((fact) => fact && fact[1] !== '');
  replaceChildren(detail.content,
    h('div', { class: 'detail-picture' }, original(row), !isPictured(row) && data.hasImages && h('p', { class: 'note' }, 'Its picture is not in this file: only a sample is.')),
    h('div', { class: 'detail-side' },
      h('p', { class: 'eyebrow' }, `${number(detail.at + 1)} of ${number(detail.rows.length)}`),
      h('h3', { class: 'file-name' }, data.fileNames[row]),
      data.nNeighbors > 0 && h('div', null, h('p', { class: 'strip-title' }, `Its nearest ${nouns}`), nearestStrip(row, (other) => { detail.rows = nearestOf(row); detail.at = detail.rows.indexOf(other); keepingFocus(showDetail); }),
        h('div', { class: 'row-actions' }, clusterSelect(`Move it and these to…`, (cluster) => moveTo([row, ...nearestOf(row).filter((other) => !isByHand(other))], cluster), { withNew: true }))),
      h('dl', { class: 'facts' }, facts.map(([name, value]) => [h('dt', null, name), h('dd', null, value)])),
      h('div', { class: 'row-actions' },
        clusterSelect('Move to…', (cluster) => moveTo([row], cluster), { without: own, withNew: true }),
        second && button(['Move to ', chip(second.cluster)], () => moveTo([row], second.cluster), { 'data-action': 'second', 'data-or': 'next' }),
        isDoubtful(row) && button('It is right here', () => moveTo([row], own), { 'data-or': 'next' })),
      h('div', { class: 'detail-steps' },
        button('‹ Previous', () => stepDetail(-1), { disabled: detail.at === 0, 'data-action': 'previous', 'data-or': 'next' }),
        button('Next ›', () => stepDetail(1), { disabled: detail.at === detail.rows.length - 1, 'data-action': 'next', 'data-or': 'previous' }),
        button('Close', () => detail.dialog.close(), { class: 'quiet' }))));
}

// Large, where the file can be had; the thumbnail until it has come.
function original(row) {
  const shown = picture(row, rowText(row));
  const address = originalAddress(row);
  if (!address) return shown;
  const image = h('img', { alt: rowText(row), on: { load: () => shown.replaceWith(image) } });
  image.src = address;
  return shown;
}

function markText(mark, row) {
  if (mark.kind === 'bool') return mark.set.has(row) ? 'yes' : '';
  return mark.kind === 'number' ? tidy(mark.values[row]) : mark.values[row];
}

// "is_outlier" → outlier, "copy_of" → copy
function markName(mark) {
  return mark.name.replace(/^is_/, '').replace(/_of$/, '').replaceAll('_', ' ');
}

// Marks that some images have and most have not.
function isFilter(mark) {
  return mark.kind === 'bool' ? mark.rows.length > 0 : mark.kind === 'text' && mark.values.some(Boolean) && mark.values.some((value) => !value);
}

for (const mark of data.marks) if (mark.kind === 'bool') mark.set = new Set(mark.rows);

detail.dialog.addEventListener('keydown', (event) => {
  if (event.target.tagName === 'SELECT') return;
  if (event.key === 'ArrowLeft') stepDetail(-1);
  else if (event.key === 'ArrowRight') stepDetail(1);
  else return;
  event.preventDefault();
});
listeners.push(() => { if (detail.dialog.open) showDetail(); });
detail.dialog.addEventListener('close', () => {
  if (detail.dialog.contains(document.activeElement)) document.activeElement.blur(); // the tile that had it is gone
  detail.restoreFocus();
});
detail.dialog.addEventListener('click', (event) => { if (event.target === detail.dialog) detail.dialog.close(); });
