// What to decide first: clusters that look like one, and clusters that look like two; as `ruc.edits.suggest` finds them.

const chance = 1; // as many links between two groups as if each image had drawn its nearest ones by lot
const mostSuggested = 10;
const dismissed = new Set(storedList('ruc-dismissed'));

function storedList(key) {
  try {
    const stored = JSON.parse(localStorage.getItem(`${key}-${data.run}`) || '[]');
    return Array.isArray(stored) ? stored : [];
  } catch (error) {
    return []; // the page works without memory
  }
}

function storeList(key, values) {
  try { localStorage.setItem(`${key}-${data.run}`, JSON.stringify([...values])); } catch (error) { /* as above */ }
}

// Links between each two clusters relative to chance, as a function of both.
function linksToChance(clusterOf) {
  const between = new Map();
  const ends = new Map();
  let total = 0;
  const count = (counts, key) => counts.set(key, (counts.get(key) || 0) + 1);
  for (let row = 0; row < nRows; row++) {
    const own = clusterOf[row];
    for (let at = row * data.nNeighbors; at < (row + 1) * data.nNeighbors; at++) {
      const other = clusterOf[base.neighbors[at]];
      count(ends, own);
      count(ends, other);
      if (own !== other) count(between, own < other ? `${own}>${other}` : `${other}>${own}`);
      total += 1;
    }
  }
  const links = (one, other) => (between.get(one < other ? `${one}>${other}` : `${other}>${one}`) || 0) * 2 * total / (ends.get(one) * ends.get(other));
  return { links, pairs: [...between.keys()].map((key) => key.split('>').map(Number)) };
}

let knownLinks = null;
let knownClosest = null;
listeners.push(() => { knownLinks = null; knownClosest = null; });

function currentLinks() {
  return knownLinks ||= linksToChance(current.cluster);
}

// The cluster that shares the most links with this one, relative to chance: { cluster, links }.
function mostAlike(cluster) {
  knownClosest ||= closestOfEach();
  return knownClosest.get(cluster) || null;
}

function closestOfEach() {
  const { links, pairs } = currentLinks();
  const closest = new Map();
  for (const pair of pairs) {
    if (pair.some((cluster) => current.junk.has(cluster))) continue;
    const shared = links(...pair);
    for (const [from, to] of [pair, [...pair].reverse()]) {
      if (!closest.has(from) || shared > closest.get(from).links) closest.set(from, { cluster: to, links: shared });
    }
  }
  return closest;
}

function suggestions() {
  const { links, pairs } = currentLinks();
  const isOpen = (cluster) => !current.junk.has(cluster);
  const merges = pairs.filter((pair) => pair.every(isOpen)).map(([one, other]) => {
    const [larger, smaller] = members(one).length >= members(other).length ? [one, other] : [other, one];
    return { kind: 'merge', key: `one ${Math.min(one, other)} ${Math.max(one, other)}`, clusters: [larger, smaller], links: links(one, other), strength: links(one, other) - chance };
  }).filter(({ strength }) => strength > 0);
  for (const [one, other] of sameNames()) merges.push({ kind: 'merge', key: `one ${one} ${other}`, clusters: [one, other], isNamed: true, strength: Infinity });
  const splits = data.splits.map((one) => {
    const isHere = (row) => current.cluster[row] === one.cluster;
    const apart = one.rows.filter(isHere);
    return { kind: 'split', key: `two ${one.cluster}`, cluster: one.cluster, rows: apart, links: one.links, foundAgain: one.foundAgain, strength: (chance - one.links) * one.foundAgain };
  }).filter(({ cluster, rows }) => rows.length > 1 && isOpen(cluster) && isWhole(cluster));
  const isAsked = ({ key }) => !dismissed.has(key);
  const undecided = new Set(merges.filter(isAsked).flatMap((merge) => merge.clusters)); // one with another? then not yet whether two
  return [...merges, ...splits.filter(({ cluster }) => !undecided.has(cluster))].filter(isAsked).sort((a, b) => b.strength - a.strength);
}

// Pairs of clusters that were given one name.
function sameNames() {
  const first = new Map();
  const found = [];
  for (const cluster of clusters()) {
    const name = current.names[cluster];
    if (!name || current.junk.has(cluster)) continue;
    if (first.has(name)) found.push([first.get(name), cluster]);
    else first.set(name, cluster);
  }
  return found;
}

// Nothing was merged into it or split off it since its parts were looked for.
function isWhole(cluster) {
  return !edits.some((change) => (change.op === 'split' && change.cluster === cluster) || (change.op === 'merge' && change.clusters.includes(cluster)));
}

// Images of one cluster that have the most nearest images in the other.
function between(one, other) {
  const nLinks = (row, cluster) => {
    let count = 0;
    for (let at = row * data.nNeighbors; at < (row + 1) * data.nNeighbors; at++) count += current.cluster[base.neighbors[at]] === cluster;
    return count;
  };
  const linked = [...members(one).map((row) => [row, nLinks(row, other)]), ...members(other).map((row) => [row, nLinks(row, one)])].filter(([, count]) => count > 0);
  return linked.sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([row]) => row);
}

function buildSuggestions() {
  if (!data.nNeighbors) return;
  const list = h('ol', { class: 'suggestions' });
  const lead = h('p', { class: 'lead' });
  section('suggestions', 'Decide first', lead, list);

  function strip(title, rows) {
    const shown = rows.filter((row) => isPictured(row) || !data.hasImages).slice(0, 10);
    return h('div', { class: 'strip' }, h('p', { class: 'strip-title' }, title),
      h('div', { class: 'strip-pictures' }, shown.map((row) => button(picture(row, rowText(row)), () => openDetail(row, rows), { class: 'strip-picture', title: rowText(row), tabindex: '-1', 'data-row': row }))));
  }

  const typicalOf = (rows) => byKey(rows, (row) => base.rank[row]);

  function mergeCard({ clusters: [one, other], isNamed }) {
    const linked = between(one, other);
    return {
      question: [chip(one), ' and ', chip(other), ': are these one?'],
      why: isNamed ? 'They have the same name.' : `More of their ${nouns} are among each other’s nearest than by chance: ${number(linked.length)} ${linked.length === 1 ? "lies" : "lie"} between them.`,
      strips: [strip(chip(one), typicalOf(members(one))), strip(chip(other), typicalOf(members(other))), strip('Between them', linked)],
      yes: 'Merge them', no: 'No, two',
      accept: () => edit({ op: 'merge', clusters: [one, other] }),
    };
  }

  function splitCard({ cluster, rows }) {
    const apart = new Set(rows);
    const rest = members(cluster).filter((row) => !apart.has(row));
    return {
      question: [chip(cluster), ': are these two?'],
      why: `${plural(rest.length, noun)} and ${number(rows.length)} that are among each other’s nearest less often than by chance.`,
      strips: [strip(plural(rest.length, noun), typicalOf(rest)), strip(plural(rows.length, noun), typicalOf(rows))],
      yes: 'Split it', no: 'No, one',
      accept: () => edit({ op: 'split', cluster, parts: [rows] }),
    };
  }

  function card(suggestion) {
    const shown = suggestion.kind === 'merge' ? mergeCard(suggestion) : splitCard(suggestion);
    const accept = () => { shown.accept(); focusFirst(); };
    const refuse = () => { dismissed.add(suggestion.key); storeList('ruc-dismissed', dismissed); update(); announce('Left as it is'); focusFirst(); };
    return h('li', { class: 'suggestion', tabindex: '0', 'data-key': suggestion.key, on: { keydown: (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === 'y') accept();
      else if (event.key === 'n') refuse();
      else if (event.key === 'ArrowDown' && event.currentTarget.nextElementSibling) event.currentTarget.nextElementSibling.focus();
      else if (event.key === 'ArrowUp' && event.currentTarget.previousElementSibling) event.currentTarget.previousElementSibling.focus();
      else return;
      event.preventDefault();
    } } },
    h('div', { class: 'suggestion-head' }, h('h3', null, shown.question), h('p', { class: 'note' }, shown.why),
      h('div', { class: 'row-actions' }, button([shown.yes, ' ', h('kbd', null, 'y')], accept, { class: 'primary', 'data-action': 'yes' }), button([shown.no, ' ', h('kbd', null, 'n')], refuse, { 'data-action': 'no' }))),
    shown.strips);
  }

  function focusFirst() {
    const [first] = list.querySelectorAll('.suggestion');
    if (first) first.focus();
    else list.closest('section').querySelector('h2').focus();
  }

  function update() {
    const all = suggestions();
    const shown = all.slice(0, mostSuggested);
    lead.textContent = shown.length
      ? `${all.length > shown.length ? `The first ${shown.length} of ${all.length} suggestions` : plural(all.length, 'suggestion')}, read off each ${noun}’s ${data.nNeighbors} nearest. Yes or no; u takes it back.`
      : `Nothing to merge or to split stands out among each ${noun}’s nearest: by them no two clusters look like one, and none like two.`;
    replaceChildren(list, shown.map(card));
  }
  listeners.push(update);
  update();
}
