// All of them: sorted, searched, one page at a time.

function buildTable() {
  const pageSize = 25;
  let sort = { key: 'name', down: false, touched: false }; // untouched: the order of the run
  let page = 0;
  let filtered = null;
  const search = h('input', { type: 'search', id: 'search', placeholder: 'Search names of files and clusters', 'aria-label': 'Search names', autocomplete: 'off' });
  const clusterFilter = h('select', { 'aria-label': 'Cluster' });
  const statuses = [
    ['', `All ${nouns}`, () => true], ...changes.map((change) => [change.value, change.name, change.fits]),
    ['doubtful', 'Doubtful', isDoubtful], ['trusted', 'Used for learning', isTrusted],
    ...data.marks.filter(isFilter).map((mark) => [`mark-${mark.name}`, markName(mark), (row) => markText(mark, row) !== '']),
  ];
  const statusFilter = h('select', { 'aria-label': 'Status' }, statuses.map(([value, name]) => h('option', { value }, name)));
  const count = h('span', { class: 'page-text', role: 'status' });
  const body = h('tbody');
  const pager = h('div', { class: 'pager' });
  const keys = {
    name: { title: 'Name', key: null },
    cluster: { title: 'Cluster', key: (row) => current.cluster[row] },
    confidence: { title: 'Confidence', key: (row) => current.confidence[row] },
    doubt: { title: 'Doubt', key: (row) => current.doubt[row] },
    initial: { title: 'Before', key: (row) => current.initial[row] },
    status: { title: 'Status', key: (row) => isDoubtful(row) * 2 + isElsewhere(row) },
  };
  const heads = Object.entries(keys).map(([name, one]) => {
    const head = h('th', { scope: 'col', class: `col-${name}`, 'data-key': name }, button([one.title, h('span', { class: 'sort-mark', 'aria-hidden': 'true' })], () => {
      sort = { key: name, down: sort.key === name && sort.touched ? !sort.down : name === 'status', touched: true };
      filtered = null;
      page = 0;
      update();
    }));
    return head;
  });
  section('images', `All ${nouns}`, null,
    h('div', { class: 'filters' }, search, clusterFilter, statusFilter, count),
    h('div', { class: 'table-frame' }, h('table', null, h('thead', null, h('tr', null, data.hasImages && h('th', { class: 'col-picture', scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Picture')), heads)), body)),
    pager);

  const lower = data.fileNames.map((name) => name.toLowerCase());
  // natural order, once: img2 before img10
  const collator = new Intl.Collator('en', { numeric: true });
  let nameRank = null;
  const rankOf = (row) => {
    if (!nameRank) {
      nameRank = new Int32Array(nRows);
      Array.from({ length: nRows }, (_, each) => each).sort((a, b) => collator.compare(lower[a], lower[b])).forEach((each, rank) => { nameRank[each] = rank; });
    }
    return nameRank[row];
  };

  function rows() {
    if (filtered) return filtered;
    const words = search.value.trim().toLowerCase();
    const cluster = clusterFilter.value === '' ? null : Number(clusterFilter.value);
    const named = new Set(words ? clusters().filter((one) => current.names[one].toLowerCase().includes(words)) : []);
    const [, , fits] = statuses.find(([value]) => value === statusFilter.value);
    const found = [];
    for (let row = 0; row < nRows; row++) {
      if ((cluster === null || current.cluster[row] === cluster) && (!words || lower[row].includes(words) || named.has(current.cluster[row])) && fits(row)) found.push(row);
    }
    const sign = sort.down ? -1 : 1;
    if (sort.key !== 'name') {
      const { key } = keys[sort.key];
      found.sort((a, b) => sign * (key(a) - key(b)) || a - b);
    } else if (sort.touched) {
      found.sort((a, b) => sign * (rankOf(a) - rankOf(b)));
    }
    filtered = found;
    return found;
  }

  function status(row) {
    return h('div', { class: 'badges' },
      changes.filter((change) => change.fits(row)).map((change) => h('span', { class: `badge ${change.value}` }, change.name.toLowerCase().replace(' by ruc', ''))),
      isDoubtful(row) ? h('span', { class: 'badge doubtful' }, 'doubtful') : isTrusted(row) && !isByHand(row) && h('span', { class: 'faint' }, 'used for learning'),
      data.marks.filter((mark) => isFilter(mark) && markText(mark, row) !== '').map((mark) => h('span', { class: 'badge' }, markName(mark))),
    );
  }

  function update() {
    const all = rows();
    const nPages = Math.max(1, Math.ceil(all.length / pageSize));
    page = Math.min(page, nPages - 1);
    const start = page * pageSize;
    for (const head of heads) {
      const isSorted = head.dataset.key === sort.key;
      head.setAttribute('aria-sort', isSorted ? (sort.down ? 'descending' : 'ascending') : 'none');
      head.querySelector('.sort-mark').textContent = isSorted ? (sort.down ? '↓' : '↑') : '';
    }
    count.textContent = all.length === nRows ? plural(nRows, noun) : `${number(all.length)} of ${plural(nRows, noun)}`;
    if (!all.length) {
      replaceChildren(body, h('tr', null, h('td', { colspan: 7 }, emptyState(`No ${noun} fits`, 'Take away a filter, or search for less.'))));
    } else {
      replaceChildren(body, all.slice(start, start + pageSize).map((row) => h('tr', null,
        data.hasImages && h('td', { class: 'col-picture' }, isPictured(row) ? picture(row, '') : h('span', { class: 'no-picture' })),
        h('td', { class: 'col-name' }, button(data.fileNames[row], () => openDetail(row, rows()), { class: 'link file-name', 'data-action': 'open', 'data-row': row }), h('div', { class: 'narrow-only' }, status(row))),
        h('td', { class: 'col-cluster' }, chip(current.cluster[row])),
        h('td', { class: 'col-confidence' }, h('span', { class: 'meter', 'aria-hidden': 'true' }, h('span', { style: { width: `${confidence(row) * 100}%` } })), percent(confidence(row), 1)),
        h('td', { class: 'col-doubt' }, isDecided(row) ? h('span', { class: 'faint' }, '–') : percent(current.doubt[row])),
        h('td', { class: 'col-initial' }, current.initial[row] < 0 ? h('span', { class: 'faint' }, 'unknown') : isElsewhere(row) ? chip(current.initial[row]) : h('span', { class: 'faint' }, 'same')),
        h('td', { class: 'col-status' }, status(row)))));
    }
    replaceChildren(pager, nPages > 1 && [
      button('‹', () => { page -= 1; keepingFocus(update); }, { class: 'page', disabled: page === 0, 'aria-label': 'Previous page', 'data-or': 'Next page' }),
      button('›', () => { page += 1; keepingFocus(update); }, { class: 'page', disabled: page === nPages - 1, 'aria-label': 'Next page', 'data-or': 'Previous page' }),
      h('span', { class: 'page-text' }, `${number(start + 1)}–${number(Math.min(start + pageSize, all.length))} of ${number(all.length)}`)]);
  }

  function updateFilter() {
    const kept = clusterFilter.value;
    replaceChildren(clusterFilter, h('option', { value: '' }, 'All clusters'), clusterOptions());
    clusterFilter.value = kept;
    if (clusterFilter.selectedIndex < 0) clusterFilter.value = '';
  }

  const restart = () => { filtered = null; page = 0; update(); };
  search.addEventListener('input', debounced(restart, 80));
  clusterFilter.addEventListener('change', restart);
  statusFilter.addEventListener('change', restart);
  listeners.push(() => { filtered = null; updateFilter(); update(); });
  updateFilter();
  update();
}
