// Edits: a list that is replayed on what Python wrote. Undo is replaying one less.

const storageKey = `ruc-edits-${data.run}`;
const listeners = [];
let edits = [];
let undone = [];
let isStored = true; // the browser may refuse to keep anything
const notStored = 'Not kept: download before closing.';
let current = null; // see state.js
let membersOf = null;
let isReviewing = false; // then the page behind is built anew when that is over

function replay() {
  current = fresh();
  for (const change of edits) perform(current, change);
  updateDoubt(current);
}

function changedNow(message) {
  membersOf = null;
  try {
    if (live) isStored = true;
    else if (edits.length) localStorage.setItem(storageKey, JSON.stringify(edits));
    else localStorage.removeItem(storageKey);
    isStored = true;
  } catch (error) {
    isStored = false;
  }
  if (!isReviewing) keepingFocus(() => { for (const listener of listeners) listener(); });
  announce(isStored ? message : `${message}. ${notStored}`);
}

addEventListener('beforeunload', (event) => { if (edits.length && !isStored) event.preventDefault(); });

function edit(change) {
  edits.push(change);
  undone = [];
  perform(current, change);
  updateDoubt(current);
  if (live) sendEdit(change);
  changedNow(describe(change));
}

function undo() {
  if (!edits.length) return;
  undone.push(edits.pop());
  replay();
  if (live) sendUndo();
  changedNow(`Undone: ${describe(undone[undone.length - 1])}`);
}

function redo() {
  if (!undone.length) return;
  edits.push(undone.pop());
  perform(current, edits[edits.length - 1]);
  updateDoubt(current);
  if (live) sendEdit(edits[edits.length - 1]);
  changedNow(`Done again: ${describe(edits[edits.length - 1])}`);
}

function forgetEdits() {
  if (live) edits.forEach(sendUndo);
  edits = [];
  undone = [];
  replay();
  changedNow('All edits are gone');
}

function describe(change) {
  if (change.op === 'rename') return `Cluster ${change.cluster} is called “${change.name}”`;
  if (change.op === 'junk') return `Cluster ${change.cluster} is ${change.junk ? '' : 'no longer '}junk`;
  if (change.op === 'merge') return `Cluster ${change.clusters.slice(1).join(', ')} goes into ${change.clusters[0]}`;
  if (change.op === 'split') return `Cluster ${change.cluster} is split: ${change.parts.map((rows) => plural(rows.length, noun)).join(' and ')} leave it`;
  return `${plural(change.rows.length, noun)} to cluster ${change.cluster}`;
}

// An edit with the names of files, as `ruc apply` reads it.
function withNames(change) {
  const namesOf = (rows) => rows.map((row) => data.fileNames[row]);
  if (change.op === 'move') return { op: 'move', file_names: namesOf(change.rows), cluster: change.cluster };
  if (change.op === 'split') return { op: 'split', cluster: change.cluster, parts: change.parts.map(namesOf) };
  return change;
}

function editsFile() {
  const written = edits.map(withNames);
  return JSON.stringify({ format: 'ruc-edits', version: 1, run: data.run, edits: written }, null, 1);
}

function storedEdits() {
  if (live) return [];
  try {
    const stored = JSON.parse(localStorage.getItem(storageKey) || '[]');
    return Array.isArray(stored) ? stored : [];
  } catch (error) {
    return [];
  }
}

function members(cluster) {
  if (!membersOf) {
    membersOf = new Map();
    for (let row = 0; row < nRows; row++) {
      const own = current.cluster[row];
      if (!membersOf.has(own)) membersOf.set(own, []);
      membersOf.get(own).push(row);
    }
  }
  return membersOf.get(cluster) || [];
}

// Where a cluster is now: itself, or what it was merged into.
function whereNow(cluster) {
  let now = cluster;
  while (current.mergedInto.has(now)) now = current.mergedInto.get(now);
  return now;
}

// The second-best cluster of an image as { cluster, share }, or null where there is none to speak of: never what was
// thrown away.
function secondBest(row) {
  if (!current.others) return null;
  let best = null;
  for (let at = row * nOthers; at < (row + 1) * nOthers; at++) {
    const cluster = whereNow(current.others[at]);
    const share = current.shares[at];
    if (share < 1e-4 || cluster === current.cluster[row] || current.junk.has(cluster)) continue;
    if (!best || share > best.share) best = { cluster, share };
  }
  return best;
}

function clusters() {
  const all = [];
  for (let cluster = 0; cluster < current.names.length; cluster++) {
    if (!current.mergedInto.has(cluster)) all.push(cluster);
  }
  return all;
}

const isElsewhere = (row) => current.cluster[row] !== current.initial[row];
// … was placed by a person; or else RUC changed the cluster it had, or placed it where it had none.
const confidence = (row) => current.confidence[row];
const isByHand = (row) => current.byHand[row] === 1;
const isPlaced = (row) => current.initial[row] < 0 && !isDecided(row);
const isChanged = (row) => isElsewhere(row) && current.initial[row] >= 0 && !isDecided(row);
const changes = [
  { value: 'changed', name: 'Changed by RUC', fits: isChanged, colour: '--change' },
  base.initial.some((cluster) => cluster < 0) && { value: 'placed', name: 'Placed by RUC', fits: isPlaced, colour: '--c2' },
  { value: 'byhand', name: 'Placed by you', fits: isByHand, colour: '--trust' },
].filter(Boolean);
const isJunk = (row) => current.junk.has(current.cluster[row]);
const isDecided = (row) => isByHand(row) || isJunk(row); // a person placed it, or threw it away
const isDoubtful = (row) => current.doubt[row] >= data.doubtfulFrom && !isDecided(row);
const isTrusted = (row) => isClean(row) || isByHand(row);

function clusterName(cluster) {
  if (cluster < 0) return 'unknown';
  return current.names[cluster] || `Cluster ${cluster}`;
}

function moveTo(rows, cluster) {
  edit({ op: 'move', rows: rows.slice(), cluster });
}

edits = storedEdits();
replay();
