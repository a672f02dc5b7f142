// What Python wrote into the page. Rows are images, or samples where only features were given; nothing here changes.

const data = JSON.parse(document.getElementById('data').textContent);
const nRows = data.fileNames.length;
const noun = data.noun;
const nouns = `${noun}s`;

function bytes(text) {
  const letters = atob(text);
  const values = new Uint8Array(letters.length);
  for (let index = 0; index < letters.length; index++) values[index] = letters.charCodeAt(index);
  return values.buffer;
}

function column(name, Type) {
  return name in data.columns ? new Type(bytes(data.columns[name])) : null;
}

// What is sent in steps of 1e-4.
function shares(name) {
  const steps = column(name, Uint16Array);
  return steps && Float32Array.from(steps, (value) => value / 10000);
}

const base = {
  cluster: column('cluster', Int32Array),
  initial: column('initial', Int32Array),
  confidence: shares('confidence'),
  doubt: shares('doubt'), // for ranking
  flags: column('flags', Uint8Array),
  typical: column('typical', Uint16Array),
  nearest: column('nearest', Int32Array),
  thumbnail: column('thumbnail', Int32Array),
  rank: column('rank', Uint16Array), // the most typical of a cluster lowest
  neighbors: column('neighbors', Int32Array), // data.nNeighbors a row, nearest first
  leaf: column('leaf', Uint16Array), // of the tree of clusters
  directions: column('directions', Int8Array), // features in few directions, nDirections a row
  others: column('others', Int32Array),
  otherShares: shares('otherShares'),
  stability: column('stability', Uint16Array), // in steps of 1e-4
  x: column('x', Uint16Array),
  y: column('y', Uint16Array),
};
data.columns = null;
const nOthers = base.others ? base.others.length / nRows : 0;
const nDirections = base.directions ? base.directions.length / nRows : 0;

const nPictured = base.thumbnail.reduce((count, position) => count + (position >= 0), 0);
const isSample = data.hasImages && nPictured < nRows;

const wasClean = (row) => (base.flags[row] & 1) !== 0;
const isClean = (row) => (base.flags[row] & 2) !== 0;
const isPictured = (row) => base.thumbnail[row] >= 0;

// Thumbnails lie in sheets of some hundreds; a sheet is parsed when one of its images is looked at.
const sheets = new Map();

function pictureSource(row) {
  const position = base.thumbnail[row];
  if (position < 0) return null;
  const size = Number(document.getElementById('sheet-0').dataset.size);
  const sheet = Math.floor(position / size);
  if (!sheets.has(sheet)) sheets.set(sheet, JSON.parse(document.getElementById(`sheet-${sheet}`).textContent));
  return `data:image/webp;base64,${sheets.get(sheet)[position % size]}`;
}

// A shuffle that is the same each time, without a state.
function scrambled(row, seed) {
  let value = Math.imul(row ^ Math.imul(seed + 1, 0x9e3779b1), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return (value ^ (value >>> 16)) >>> 0;
}
