// Levels: the clusters as they were written, joined into larger groups and divided into smaller ones; as `ruc.levels.tree` grows them.

const mostBranches = 40; // of the picture of how groups join: more aren't told apart
const picturesOfGroup = 6;
const lineHeight = 52; // pixels of a branch, as in levels.css

// Groups are numbered as in the file: leaves first, then one for each join.
function readTree({ joins, nClusters, stable }) {
  const nLeaves = joins.length + 1;
  const members = Array.from({ length: nLeaves }, () => []);
  for (let row = 0; row < nRows; row++) members[base.leaf[row]].push(row);
  const parent = new Array(2 * nLeaves - 1).fill(null);
  joins.forEach(([one, other], at) => {
    members.push([...members[one], ...members[other]]);
    parent[one] = parent[other] = nLeaves + at;
  });
  const isThere = (group, nGroups) => group < 2 * nLeaves - nGroups && (parent[group] === null || parent[group] >= 2 * nLeaves - nGroups);
  return {
    nLeaves, nClusters, stable, members, parent,
    parts: (group) => (group < nLeaves ? [] : joins[group - nLeaves]),
    formedAt: (group) => 2 * nLeaves - 1 - group, // how many groups there are from its join on
    groups: (nGroups) => ordered(2 * nLeaves - 2).filter((group) => isThere(group, nGroups)),
  };

  // All groups, each before its parts, and what joins side by side.
  function ordered(group) {
    return group < nLeaves ? [group] : [group, ...joins[group - nLeaves].flatMap(ordered)];
  }
}

function buildLevels() {
  if (!data.tree || data.tree.joins.length < 2) return;
  const tree = readTree(data.tree);
  const clustersOf = (group) => [...new Set(tree.members[group].map((row) => base.cluster[row]))].sort((a, b) => a - b);
  const sizeOf = new Map();
  for (const cluster of base.cluster) sizeOf.set(cluster, (sizeOf.get(cluster) || 0) + 1);
  const isPart = (group) => { const own = clustersOf(group); return own.length === 1 && tree.members[group].length < sizeOf.get(own[0]); };
  let level = tree.nClusters;
  let marked = new Set();

  const lead = h('p', { class: 'lead' }, `One tree holds every number of groups from 2 to ${tree.nLeaves}: they join by the links of their ${nouns} to their nearest ones.`);
  const slider = h('input', { type: 'range', min: 2, max: tree.nLeaves, value: level, 'aria-label': 'Number of groups', class: 'level-slider', on: { input: () => show(Number(slider.value)) } });
  const fewer = button('−', () => show(level - 1), { class: 'page', 'aria-label': 'Fewer groups' });
  const more = button('+', () => show(level + 1), { class: 'page', 'aria-label': 'More groups' });
  const count = h('output', { class: 'level-count' });
  const found = (data.kCurve.levels || []).map((one) => one.n_clusters).filter((one) => one <= tree.nLeaves); // where the number was searched
  const isSearched = found.some((one) => one !== tree.nClusters);
  const worth = [...new Set([...(isSearched ? found : tree.stable), tree.nClusters])].sort((a, b) => a - b);
  const jumps = worth.map((one) => button(one === tree.nClusters ? `${one}, this run` : one, () => show(one), { 'data-level': one }));
  const command = h('div');
  const cards = h('div', { class: 'groups' });
  const picture = joiningPicture(tree, clustersOf, (nGroups, groups) => show(nGroups, groups));
  const element = section('levels', 'Levels', lead,
    h('div', { class: 'level-tools' }, fewer, slider, more, count),
    h('p', { class: 'level-jumps' }, h('span', { class: 'note' }, isSearched ? 'Levels worth a look:' : 'Levels that last longest:'), jumps),
    command, cards, picture);

  function strip(rows) {
    const shown = byKey(rows.filter((row) => isPictured(row) || !data.hasImages), (row) => base.rank[row]).slice(0, picturesOfGroup);
    return h('div', { class: 'strip-pictures' }, shown.map((row) => button(pictureOf(row), () => openDetail(row, shown), { class: 'strip-picture', title: rowText(row), tabindex: '-1', 'data-row': row })));
  }

  function card(group) {
    const parts = tree.parts(group);
    const next = tree.parent[group];
    const others = next === null ? [] : tree.parts(next).filter((one) => one !== group);
    return h('article', { class: `group${marked.has(group) ? ' marked' : ''}`, tabindex: '-1', 'data-group': group },
      h('p', { class: 'strip-title' }, clustersOf(group).slice(0, 6).map((cluster) => [chip(cluster), ' ']), clustersOf(group).length > 6 && `and ${clustersOf(group).length - 6} more `, isPart(group) && 'in part, ', plural(tree.members[group].length, noun)),
      strip(tree.members[group]),
      h('div', { class: 'row-actions' },
        parts.length > 0 && button('Down to its parts', () => show(tree.formedAt(group) + 1, parts), { class: 'link', 'data-action': `down ${group}` }),
        others.length > 0 && tree.formedAt(next) > 1 && button(['Up to what it joins: ', clustersOf(others[0]).slice(0, 3).map((cluster) => [chip(cluster), ' '])], () => show(tree.formedAt(next), [next]), { class: 'link', 'data-action': `up ${group}` })));
  }

  function show(nGroups, groups = []) {
    level = Math.max(2, Math.min(tree.nLeaves, nGroups));
    marked = new Set(groups);
    keepingFocus(update);
    const [first] = cards.querySelectorAll('.marked');
    if (first) first.focus();
    announce(`${level} groups`);
  }

  function update() {
    slider.value = level;
    fewer.disabled = level <= 2;
    more.disabled = level >= tree.nLeaves;
    count.textContent = `${level} groups`;
    for (const jump of jumps) jump.setAttribute('aria-pressed', String(Number(jump.dataset.level) === level));
    const note = edits.length ? ' The tree is of the clusters as they were before the edits of this page.' : '';
    replaceChildren(command, level === tree.nClusters ? h('p', { class: 'note' }, `This is the run as it is.${note}`)
      : [h('p', { class: 'note' }, `A run of its own at this level, without embedding again:${note}`), commandLine(`ruc cut ${data.runFolder} -k ${level} -o new/`)]);
    replaceChildren(cards, tree.groups(level).map(card));
  }
  whenNear(element, () => { update(); listeners.push(update); });
}

const pictureOf = (row) => picture(row, rowText(row));

// How the clusters of the run join, the most linked first; a click on a join goes there.
function joiningPicture(tree, clustersOf, onChoose) {
  const nBranches = Math.min(tree.nClusters, mostBranches);
  const branches = tree.groups(nBranches);
  const height = branches.length * lineHeight;
  const at = new Map(branches.map((group, place) => [group, { x: 0, y: (place + 0.5) * lineHeight }]));
  const lines = [];
  for (let nGroups = nBranches - 1; nGroups >= 1; nGroups--) {
    const group = 2 * tree.nLeaves - 1 - nGroups;
    const [one, other] = tree.parts(group).map((part) => at.get(part));
    const x = (nBranches - nGroups) / nBranches * 100;
    at.set(group, { x, y: (one.y + other.y) / 2 });
    const path = `M${one.x},${one.y}H${x}V${other.y}H${other.x}`;
    lines.push(svg('path', { class: 'branch', d: path, 'vector-effect': 'non-scaling-stroke' }),
      nGroups > 1 && svg('path', { class: 'join', d: `M${x},${one.y}V${other.y}`, 'vector-effect': 'non-scaling-stroke', on: { click: () => onChoose(nGroups, [group]) } }, svg('title', null, `${nGroups} groups from here on`)));
  }
  const rows = branches.map((group) => {
    const shown = byKey(tree.members[group].filter(isPictured), (row) => base.rank[row]).slice(0, 3);
    const own = clustersOf(group);
    return h('div', { class: 'branch-row' }, h('span', { class: 'branch-name' }, own.slice(0, 3).map((cluster) => [chip(cluster), ' ']), own.length > 3 && `+${own.length - 3}`), shown.map((row) => h('span', { class: 'branch-picture' }, pictureOf(row))));
  });
  return h('figure', { class: 'chart wide joining' },
    h('figcaption', null, h('strong', null, 'How they join'), h('span', { class: 'note' }, `From left to right ${nBranches} groups become one; a click on a line goes to that level.`)),
    h('div', { class: 'joining-frame' }, h('div', null, rows),
      svg('svg', { viewBox: `0 0 100 ${height}`, preserveAspectRatio: 'none', style: { height: `${height}px` }, role: 'img', 'aria-label': `A tree in which ${nBranches} groups join two by two` }, lines)));
}
