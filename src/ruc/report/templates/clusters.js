// Which clusters are good: a panel each, with galleries.

const orders = {
  typical: { name: 'Typical', rows: (all) => byKey(all, (row) => base.rank[row] + (isDoubtful(row) ? 65536 : 0)) }, // of each part of it
  doubtful: { name: 'Doubtful', rows: (all) => byKey(all, (row) => -current.doubt[row]) },
  farthest: { name: 'Farthest', rows: (all) => byKey(all, (row) => base.typical[row]) }, // from the cluster's centre
  random: { name: 'Random', rows: (all, seed) => byKey(all, (row) => scrambled(row, seed)) },
  joined: { name: 'Newly joined', rows: (all) => byKey(all.filter(isElsewhere), (row) => -current.confidence[row]) },
};

// Of a gallery without a tile: what it lacks.
function emptyGallery(cluster) {
  return members(cluster).length ? emptyState('Nothing new', `No ${noun} came here from another cluster.`)
    : emptyState('Empty', `No ${noun} is in this cluster.`);
}

function clusterPanel(cluster) {
  let order = 'typical';
  let seed = 0;
  const head = h('div', { class: 'panel-head' });
  const tabs = h('div', { class: 'tabs', role: 'group', 'aria-label': `Order of the ${nouns} of cluster ${cluster}` });
  const element = h('article', { class: 'panel', id: `cluster-${cluster}`, tabindex: '-1', 'aria-label': `Cluster ${cluster}` }, head, tabs);
  let cached = null;
  const pictures = gallery(() => {
    if (!cached) cached = orders[order].rows(members(cluster), seed);
    return cached;
  }, { onlyPictured: true, label: `Cluster ${cluster}`, empty: () => emptyGallery(cluster) });
  element.append(pictures.element);

  function choose(name) {
    seed += name === 'random' && order === 'random' ? 1 : 0;
    order = name;
    cached = null;
    keepingFocus(updateTabs);
    pictures.restart();
  }

  function updateTabs() {
    const joined = members(cluster).filter(isElsewhere).length;
    replaceChildren(tabs, Object.entries(orders).map(([name, one]) => button(
      name === 'joined' ? ['New', h('span', { class: 'wide-only' }, 'ly joined'), h('span', { class: 'count' }, number(joined))] : one.name, () => choose(name), { 'aria-pressed': String(order === name), 'data-action': name })));
  }

  function rename(event) {
    const name = event.target.value.trim();
    if (name === (current.names[cluster] || '')) return;
    setTimeout(() => edit({ op: 'rename', cluster, name })); // when the focus has arrived where it's going: the head is built anew
  }

  function updateHead() {
    const numbers = stats(cluster);
    const isJunk = current.junk.has(cluster);
    const field = h('input', { class: 'name-field', type: 'text', value: current.names[cluster] || '', placeholder: `Cluster ${cluster}`, maxlength: '80', spellcheck: 'false', 'aria-label': `Name of cluster ${cluster}`, title: 'Type to rename', on: { change: rename, keydown: (event) => { if (event.key === 'Escape') event.target.value = current.names[cluster] || ''; if (event.key === 'Enter' || event.key === 'Escape') element.focus({ preventScroll: true }); } } });
    replaceChildren(head,
      h('div', { class: 'panel-title' }, chip(cluster).firstChild, h('h3', { class: 'visually-hidden' }, clusterName(cluster)), h('span', { class: 'panel-number' }, cluster), field, verdictBadge(cluster, numbers)),
      h('p', { class: 'panel-numbers' },
        h('span', null, h('b', null, number(numbers.size)), ' ', numbers.size === 1 ? noun : nouns),
        wordsOfRight(cluster, numbers),
        h('span', null, h('b', null, number(numbers.doubtful)), ' doubtful'),
        h('span', { title: 'Share of its labels that RUC took as they were, to learn from them' }, h('b', null, percent(numbers.trustedShare)), ' used for learning'),
        h('span', { title: `Share of its ${nouns} that lie nearer to its own centre than to any other` }, h('b', null, percent(numbers.nearestShare)), ' nearest to its own centre'),
        numbers.alike && h('span', { title: `${numbers.alike.links.toFixed(2)} times as many links to nearest ${nouns} as by chance lie between the two` }, 'most like ', h('a', { href: `#cluster-${numbers.alike.cluster}` }, clusterName(numbers.alike.cluster)))),
      h('div', { class: 'row-actions' },
        clusterSelect('Merge into…', (target) => edit({ op: 'merge', clusters: [target, cluster] }), { without: cluster }),
        button(isJunk ? 'Not junk' : 'Mark as junk', () => edit({ op: 'junk', cluster, junk: !isJunk }), { 'aria-pressed': String(isJunk), 'data-action': 'junk' })));
    element.classList.toggle('is-junk', isJunk);
  }

  return {
    cluster, element,
    update() { cached = null; updateHead(); updateTabs(); pictures.update(); },
  };
}

function buildClusters() {
  const list = h('div', { class: 'panels' });
  section('clusters', 'Clusters', `${data.metrics || data.checked ? `In a good one, nine in ten ${nouns} or more are right.` : `A stable one is found again when the clustering is made again; whether it is right, nobody has looked.`} Type a name to rename; tick ${nouns} to move them.`,
    isSample && h('p', { class: 'note sample' }, `This file holds pictures of ${number(nPictured)} of the ${number(nRows)} images: a sample of each cluster, with its most typical, most doubtful and newly joined ones. Table and map list all.`), list);
  const panels = new Map();
  const built = new Set();

  function update() {
    const wanted = clusters().filter((cluster) => members(cluster).length || cluster < data.names.length);
    for (const [cluster, panel] of panels) {
      if (wanted.includes(cluster)) continue;
      panel.element.remove();
      panels.delete(cluster);
      built.delete(cluster);
    }
    for (const cluster of wanted) {
      if (panels.has(cluster)) {
        if (built.has(cluster)) panels.get(cluster).update();
        continue;
      }
      const panel = clusterPanel(cluster);
      panels.set(cluster, panel);
      list.append(panel.element); // its place is found below
      whenNear(panel.element, () => { if (panels.get(cluster) === panel) { built.add(cluster); panel.update(); } });
    }
    wanted.forEach((cluster, at) => { // in the order of their numbers; what is in its place stays there, or it would lose the focus
      const { element } = panels.get(cluster);
      if (list.children[at] !== element) list.insertBefore(element, list.children[at]);
    });
  }
  listeners.push(update);
  update();
}

function buildDoubtful() {
  let cached = null;
  const note = h('p', { class: 'lead' });
  const element = section('doubtful', `Doubtful ${nouns}`, note);
  const rows = () => {
    if (cached) return cached;
    const all = [];
    for (let row = 0; row < nRows; row++) if (!isDecided(row)) all.push(row);
    const nDoubtful = all.reduce((count, row) => count + isDoubtful(row), 0);
    cached = byKey(all, (row) => -current.doubt[row])
      .slice(0, Math.max(nDoubtful, Math.ceil(nRows * data.reviewShare)));
    cached.nDoubtful = nDoubtful;
    return cached;
  };
  const pictures = gallery(rows, {
    size: 'large', label: `Doubtful ${nouns}`,
    empty: () => emptyState('Nothing left to look at', `Every ${noun} has been placed by you.`),
    caption: (row) => {
      const own = current.cluster[row];
      const second = secondBest(row);
      return h('div', { class: 'verdicts' },
        button(['✓ ', chip(own), h('span', { class: 'share' }, percent(confidence(row)))], () => moveTo([row], own), { 'data-action': 'confirm', title: `It is right in ${clusterName(own)}`, 'aria-label': `${data.fileNames[row]} is right in ${clusterName(own)}` }),
        second && button(['→ ', chip(second.cluster), h('span', { class: 'share' }, percent(second.share))], () => moveTo([row], second.cluster), { 'data-action': 'second', 'data-or': 'confirm', title: `Move to ${clusterName(second.cluster)}`, 'aria-label': `Move ${data.fileNames[row]} to ${clusterName(second.cluster)}` }));
    },
  });
  const review = buildReview();
  const isPossible = data.nNeighbors > 0;
  if (isPossible) element.append(h('p', { class: 'row-actions start' }, button(['Review twelve at a time ', h('kbd', null, 'r')], () => review('sheet'), { class: 'primary', id: 'review-button' }), button(['One at a time ', h('kbd', null, 'o')], () => review('one'), { id: 'review-one-button' })));
  element.append(pictures.element);

  function update() {
    cached = null;
    const { length, nDoubtful } = rows();
    const unsure = plural(length - nDoubtful, noun);
    const which = !nDoubtful ? `None has a doubt of ${percent(data.doubtfulFrom)} or more; these are the ${unsure} RUC is least sure of.`
      : length > nDoubtful ? `${number(nDoubtful)} have a doubt of ${percent(data.doubtfulFrom)} or more; then follows what RUC is least sure of beside them: ${unsure}.`
        : `These ${number(nDoubtful)} have a doubt of ${percent(data.doubtfulFrom)} or more: low confidence, or neighbours that are elsewhere. Most doubtful first.`;
    note.textContent = length ? `${which} Confirm one where it is (✓), or send it to its second-best cluster (→).` : '';
    pictures.update();
  }
  listeners.push(update);
  update();
}
