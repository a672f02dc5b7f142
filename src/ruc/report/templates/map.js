// The 2-D map: points and small pictures on a canvas, a lasso that makes a list.

const pictureRoom = 46; // pixels
const pictureSide = 38;
const mostMapPictures = 400;

function buildMap() {
  if (!base.x) return;
  const canvas = h('canvas', { tabindex: '0', role: 'img', 'aria-label': `Map of ${plural(nRows, noun)}; alike ones lie close together. The table below lists the same ${nouns}.` });
  const overlay = h('canvas', { class: 'overlay', 'aria-hidden': 'true' });
  const tip = h('div', { class: 'tip', hidden: true });
  const onPaper = h('img', { class: 'map-print', alt: '' }); // canvases stay blank there
  const frame = h('div', { class: 'map-frame' }, canvas, overlay, tip, onPaper);
  const colouring = h('select', { 'aria-label': 'Colour by' }, [['cluster', 'Colour by cluster'], ['confidence', 'Colour by confidence'], ['doubt', 'Colour by doubt'], ['changed', 'Colour by change'], ['density', 'Colour by density'], ...data.marks.filter(isFilter).map((mark) => [mark.name, `Colour by ${markName(mark)}`])].map(([value, name]) => h('option', { value }, name)));
  const legend = h('div', { class: 'map-legend' });
  const found = h('div', { class: 'map-found' });
  const coarse = matchMedia('(pointer: coarse)').matches;
  let mode = coarse ? '' : 'lasso';
  const modes = h('div', { class: 'tabs', role: 'group', 'aria-label': 'What dragging does' });
  const view = { scale: 1, x: 0.5, y: 0.5 };
  let highlighted = null;
  let caught = null;
  let hovered = -1;
  let path = null;
  let drag = null;
  let isBuilt = false;
  let isPicturing = data.hasImages;
  const mapPictures = new Map();
  const redraw = debounced(() => draw(), 60);
  const picturing = data.hasImages && button('Pictures', () => { isPicturing = !isPicturing; picturing.setAttribute('aria-pressed', String(isPicturing)); draw(); }, { 'aria-pressed': 'true' });

  section('map', 'Map', `Alike ${nouns} lie close together. Draw a line around some to list them.`,
    h('div', { class: 'map' },
      h('div', { class: 'map-main' },
        h('div', { class: 'map-tools' }, colouring, modes, picturing && h('div', { class: 'tabs' }, picturing),
          h('div', { class: 'tabs' }, button('+', () => zoom(1.5), { 'aria-label': 'Zoom in' }), button('−', () => zoom(1 / 1.5), { 'aria-label': 'Zoom out' }), button('Reset', () => { Object.assign(view, { scale: 1, x: 0.5, y: 0.5 }); draw(); }))),
        frame, data.positionsName && h('p', { class: 'note map-note' }, `Layout: ${data.positionsName}.`)),
      h('div', { class: 'map-side' }, legend, found)));

  const drawingOrder = Array.from({ length: nRows }, (_, row) => row);
  let picturingOrder = [];
  const cells = new Map(); // 100 × 100 cells over the unit square, for finding the point under the pointer
  const nCells = 100;
  const unitX = (row) => base.x[row] / 65535;
  const unitY = (row) => 1 - base.y[row] / 65535;
  const cellOf = (x, y) => Math.min(nCells - 1, Math.floor(x * nCells)) * nCells + Math.min(nCells - 1, Math.floor(y * nCells));

  function build() {
    isBuilt = true;
    const hash = drawingOrder.map((row) => scrambled(row, 7));
    drawingOrder.sort((a, b) => hash[a] - hash[b]); // no cluster lies above all others
    picturingOrder = byKey(drawingOrder.filter(isPictured), (row) => base.rank[row]); // the typical ones of each cluster first
    for (let row = 0; row < nRows; row++) {
      const cell = cellOf(unitX(row), unitY(row));
      if (!cells.has(cell)) cells.set(cell, []);
      cells.get(cell).push(row);
    }
    new ResizeObserver(resize).observe(frame);
    resize();
  }

  function size() {
    return { width: frame.clientWidth, height: frame.clientHeight, side: Math.min(frame.clientWidth, frame.clientHeight) - 24 };
  }

  function toScreen(x, y) {
    const { width, height, side } = size();
    return [width / 2 + (x - view.x) * side * view.scale, height / 2 + (y - view.y) * side * view.scale];
  }

  // As toScreen, for many rows: the size is asked for once.
  function placing() {
    const { width, height, side } = size();
    const zoomed = side * view.scale;
    return (row) => [width / 2 + (unitX(row) - view.x) * zoomed, height / 2 + (unitY(row) - view.y) * zoomed];
  }

  function toUnit(screenX, screenY) {
    const { width, height, side } = size();
    return [(screenX - width / 2) / side / view.scale + view.x, (screenY - height / 2) / side / view.scale + view.y];
  }

  function resize() {
    const ratio = devicePixelRatio || 1;
    for (const one of [canvas, overlay]) {
      one.width = Math.round(frame.clientWidth * ratio);
      one.height = Math.round(frame.clientHeight * ratio);
      one.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    draw();
  }

  function colours() {
    const style = getComputedStyle(document.documentElement);
    const named = (name) => style.getPropertyValue(name).trim();
    const scale = Array.from({ length: 5 }, (_, index) => named(`--s${index}`));
    const faint = named('--point-faint');
    if (colouring.value === 'confidence') return (row) => scale[Math.min(4, Math.floor(Math.max(0, confidence(row) * 2 - 1) * 5))];
    if (colouring.value === 'doubt') return (row) => scale[4 - Math.min(4, Math.floor(current.doubt[row] * 5))];
    if (colouring.value === 'changed') {
      const known = changes.map((change) => ({ ...change, colour: named(change.colour) }));
      return (row) => (known.find((change) => change.fits(row)) || { colour: faint }).colour;
    }
    if (colouring.value === 'density') return (row) => scale[crowds()[row]];
    const found = named('--change-fill');
    if (colouredMark()) return (row) => (fitsColour(row) ? found : faint);
    const palette = Array.from({ length: nColours }, (_, index) => named(`--c${index}`));
    return (row) => (current.cluster[row] < 0 ? faint : palette[current.cluster[row] % nColours]);
  }

  // The mark that is coloured by, if one is.
  function colouredMark() {
    return data.marks.find((mark) => mark.name === colouring.value);
  }

  // Where only some images are coloured, the others stand back.
  function fitsColour(row) {
    if (colouring.value === 'changed') return changes.some((change) => change.fits(row));
    return !colouredMark() || markText(colouredMark(), row) !== '';
  }

  // How crowded it is around each image, in five steps with as many images each.
  let knownCrowds = null;
  function crowds() {
    if (knownCrowds) return knownCrowds;
    const counts = Array.from({ length: nRows }, (_, row) => {
      const [column, line] = [Math.floor(unitX(row) * nCells), Math.floor(unitY(row) * nCells)];
      let count = 0;
      for (let dx = -1; dx <= 1; dx++) for (let dy = -1; dy <= 1; dy++) count += (cells.get((column + dx) * nCells + line + dy) || []).length;
      return count;
    });
    const sorted = counts.slice().sort((a, b) => a - b);
    const steps = [0.2, 0.4, 0.6, 0.8].map((share) => sorted[Math.floor(share * nRows)]);
    knownCrowds = counts.map((count) => steps.filter((step) => count > step).length);
    return knownCrowds;
  }

  // Once a frame, however many events there are.
  let isDue = false;
  function drawSoon() {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => { isDue = false; draw(); });
  }

  function draw() {
    if (!isBuilt) return;
    const context = canvas.getContext('2d');
    const { width, height } = size();
    const colour = colours();
    const radius = Math.max(1.3, Math.min(4.5, 150 / Math.sqrt(nRows))) * Math.min(2, Math.sqrt(view.scale));
    context.clearRect(0, 0, width, height);
    const isInFront = (row) => (highlighted === null || current.cluster[row] === highlighted) && fitsColour(row);
    const hasBack = highlighted !== null || colouring.value === 'changed' || colouredMark() !== undefined;
    const layers = [{ rows: hasBack ? drawingOrder.filter((row) => !isInFront(row)) : drawingOrder, alpha: highlighted !== null ? 0.16 : hasBack ? 0.6 : 0.8 }];
    if (hasBack) layers.push({ rows: drawingOrder.filter(isInFront), alpha: 0.9 });
    if (radius < 1.6) drawPixels(context, layers, colour, radius);
    else drawShapes(context, layers, colour, radius);
    context.globalAlpha = 1;
    if (isPicturing) drawPictures(context, isInFront, colour);
    if (colouring.value === 'cluster') drawNumbers(context);
    drawOverlay();
  }

  function drawShapes(context, layers, colour, radius) {
    const { width, height } = size();
    const place = placing();
    let last = null;
    for (const { rows, alpha } of layers) {
      context.globalAlpha = alpha;
      for (const row of rows) {
        const [x, y] = place(row);
        if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
        const own = colour(row);
        if (own !== last) { context.fillStyle = own; last = own; }
        context.beginPath();
        const shape = colouring.value === 'cluster' && current.cluster[row] >= 0 ? shapeOf(current.cluster[row]) : 'round';
        if (shape === 'round') context.arc(x, y, radius, 0, 2 * Math.PI);
        else if (shape === 'square') context.rect(x - radius, y - radius, 2 * radius, 2 * radius);
        else { context.moveTo(x, y - 1.3 * radius); context.lineTo(x + 1.2 * radius, y + radius); context.lineTo(x - 1.2 * radius, y + radius); }
        context.fill();
      }
    }
  }

  // Very many points are written as pixels: to draw a hundred thousand shapes takes a canvas too long.
  function drawPixels(context, layers, colour, radius) {
    const ratio = devicePixelRatio || 1;
    const drawn = context.createImageData(canvas.width, canvas.height);
    const pixels = new Uint32Array(drawn.data.buffer);
    const side = Math.max(1, Math.round(2 * radius * ratio));
    const place = placing();
    for (const { rows, alpha } of layers) {
      const known = new Map(); // "#rrggbb" → alpha, blue, green, red, as little-endian bytes
      const packedColour = (text) => {
        if (!known.has(text)) {
          const [red, green, blue] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
          known.set(text, ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0);
        }
        return known.get(text);
      };
      for (const row of rows) {
        const [x, y] = place(row);
        const left = Math.round(x * ratio - side / 2);
        const top = Math.round(y * ratio - side / 2);
        if (left < 0 || top < 0 || left + side > canvas.width || top + side > canvas.height) continue;
        const value = packedColour(colour(row));
        for (let line = top; line < top + side; line++) pixels.fill(value, line * canvas.width + left, line * canvas.width + left + side);
      }
    }
    context.putImageData(drawn, 0, 0);
  }

  // Small pictures where there is room for them: more the further one goes in, none above another.
  function drawPictures(context, isInFront, colour) {
    const { width, height } = size();
    const place = placing();
    const taken = new Set();
    let nDrawn = 0;
    for (const row of picturingOrder) {
      if (!isInFront(row)) continue;
      const [x, y] = place(row);
      if (x < 0 || y < 0 || x > width || y > height) continue;
      const [column, line] = [Math.floor(x / pictureRoom), Math.floor(y / pictureRoom)];
      const around = [-1, 0, 1].flatMap((dx) => [-1, 0, 1].map((dy) => `${column + dx} ${line + dy}`));
      if (taken.has(`${column} ${line}`) || (view.scale < 2 && around.some((cell) => taken.has(cell)))) continue;
      taken.add(`${column} ${line}`);
      const image = mapPicture(row);
      if (image) {
        const side = Math.min(image.naturalWidth, image.naturalHeight);
        const [left, top] = [column * pictureRoom + pictureRoom / 2 - pictureSide / 2, line * pictureRoom + pictureRoom / 2 - pictureSide / 2];
        context.drawImage(image, (image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2, side, side, left, top, pictureSide, pictureSide);
        context.strokeStyle = colour(row);
        context.lineWidth = 2;
        context.strokeRect(left, top, pictureSide, pictureSide);
      }
      nDrawn += 1;
      if (nDrawn >= mostMapPictures) return;
    }
  }

  // An image that is ready to be drawn; null until it is, then the map is drawn once more.
  function mapPicture(row) {
    if (!mapPictures.has(row)) {
      const image = new Image();
      image.src = pictureSource(row);
      mapPictures.set(row, image);
      image.decode().then(redraw, () => {});
    }
    const image = mapPictures.get(row);
    return image.complete && image.naturalWidth ? image : null;
  }

  // The number of each cluster at the middle of its points, since colour alone does not tell twelve apart; of a larger
  // cluster where there is no room for both.
  function drawNumbers(context) {
    const style = getComputedStyle(document.documentElement);
    context.font = '650 15px system-ui, "Liberation Sans", sans-serif';
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.lineWidth = 5;
    context.lineJoin = 'round';
    const taken = [];
    for (const cluster of byKey(clusters(), (one) => -members(one).length)) {
      if (!members(cluster).length || (highlighted !== null && cluster !== highlighted)) continue;
      const [x, y] = toScreen(...middleOf(cluster));
      const text = current.names[cluster] || String(cluster);
      const reach = context.measureText(text).width / 2 + 2;
      if (taken.some((other) => Math.abs(other.x - x) < other.reach + reach && Math.abs(other.y - y) < 16)) continue;
      taken.push({ x, y, reach });
      context.strokeStyle = style.getPropertyValue('--panel');
      context.fillStyle = style.getPropertyValue('--ink');
      context.strokeText(text, x, y);
      context.fillText(text, x, y);
    }
  }

  const middles = new Map();
  function middleOf(cluster) {
    if (!middles.has(cluster)) {
      const middle = (values) => values.sort()[values.length >> 1];
      middles.set(cluster, [middle(Float32Array.from(members(cluster), unitX)), middle(Float32Array.from(members(cluster), unitY))]);
    }
    return middles.get(cluster);
  }

  function drawOverlay() {
    const context = overlay.getContext('2d');
    const style = getComputedStyle(document.documentElement);
    const { width, height } = size();
    context.clearRect(0, 0, width, height);
    context.strokeStyle = style.getPropertyValue('--ink');
    if (path && path.length > 1) {
      context.beginPath();
      path.forEach(([x, y], index) => {
        const [screenX, screenY] = toScreen(x, y);
        if (index) context.lineTo(screenX, screenY);
        else context.moveTo(screenX, screenY);
      });
      context.closePath();
      context.globalAlpha = 0.08;
      context.fillStyle = style.getPropertyValue('--ink');
      context.fill();
      context.globalAlpha = 1;
      context.lineWidth = 1.5;
      context.setLineDash([5, 4]);
      context.stroke();
      context.setLineDash([]);
    }
    if (hovered >= 0) {
      const [x, y] = toScreen(unitX(hovered), unitY(hovered));
      context.lineWidth = 1;
      context.globalAlpha = 0.55;
      context.beginPath();
      for (const other of nearestOf(hovered)) {
        context.moveTo(x, y);
        context.lineTo(...toScreen(unitX(other), unitY(other)));
      }
      context.stroke();
      context.globalAlpha = 1;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, 7, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  function nearest(screenX, screenY) {
    const reach = 12;
    const [left, top] = toUnit(screenX - reach, screenY - reach);
    const [right, bottom] = toUnit(screenX + reach, screenY + reach);
    const range = (low, high) => [Math.max(0, Math.floor(low * nCells)), Math.min(nCells - 1, Math.floor(high * nCells))];
    const [firstColumn, lastColumn] = range(left, right);
    const [firstLine, lastLine] = range(top, bottom);
    let best = -1;
    let bestDistance = reach * reach;
    for (let x = firstColumn; x <= lastColumn; x++) {
      for (let y = firstLine; y <= lastLine; y++) {
        for (const row of cells.get(x * nCells + y) || []) {
          if (highlighted !== null && current.cluster[row] !== highlighted) continue;
          const [pointX, pointY] = toScreen(unitX(row), unitY(row));
          const distance = (pointX - screenX) ** 2 + (pointY - screenY) ** 2;
          if (distance < bestDistance) { bestDistance = distance; best = row; }
        }
      }
    }
    return best;
  }

  function hover(row) {
    if (row === hovered) return;
    hovered = row;
    tip.hidden = row < 0;
    drawOverlay();
    if (row < 0) return;
    replaceChildren(tip, data.hasImages && picture(row, ''), h('span', { class: 'tip-name' }, data.fileNames[row]),
      h('span', { class: 'tip-facts' }, isElsewhere(row) && [chip(current.initial[row]), ' → '], chip(current.cluster[row]), ` ${percent(confidence(row))}`),
      data.nNeighbors > 0 && data.hasImages && h('span', { class: 'tip-near' }, nearestOf(row).slice(0, 4).map((other) => picture(other, ''))));
    const [x, y] = toScreen(unitX(row), unitY(row));
    const { width, height } = size();
    tip.style.left = `${x > width - 190 ? x - 182 : x + 14}px`;
    tip.style.top = `${Math.min(Math.max(4, y - 40), Math.max(4, height - tip.offsetHeight - 4))}px`;
  }

  function inside(x, y) {
    let isInside = false;
    for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
      const [ax, ay] = path[i];
      const [bx, by] = path[j];
      if ((ay > y) !== (by > y) && x < (bx - ax) * (y - ay) / (by - ay) + ax) isInside = !isInside;
    }
    return isInside;
  }

  function finishLasso() {
    caught = [];
    for (let row = 0; row < nRows; row++) {
      if (highlighted !== null && current.cluster[row] !== highlighted) continue;
      if (inside(unitX(row), unitY(row))) caught.push(row);
    }
    updateFound();
    announce(`${plural(caught.length, noun)} in the lasso`);
  }

  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  canvas.addEventListener('pointerdown', (event) => {
    const [x, y] = at(event);
    if (event.button !== 0) return;
    drag = { x, y, moved: false, view: { ...view } };
    if (mode === 'lasso' && !event.shiftKey) path = [toUnit(x, y)];
    if (mode) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const [x, y] = at(event);
    if (!drag || !mode) { hover(nearest(x, y)); return; }
    if (!drag.moved && Math.hypot(x - drag.x, y - drag.y) < 4) return;
    drag.moved = true;
    hover(-1);
    if (mode === 'lasso' && !event.shiftKey && path) {
      path.push(toUnit(x, y));
      drawOverlay();
    } else {
      const { side } = size();
      view.x = drag.view.x - (x - drag.x) / side / view.scale;
      view.y = drag.view.y - (y - drag.y) / side / view.scale;
      drawSoon();
    }
  });
  canvas.addEventListener('pointerup', (event) => {
    if (!drag) return; // another button, or pressed elsewhere
    const wasDrag = drag.moved;
    drag = null;
    if (wasDrag && mode === 'lasso' && path && path.length > 2) { finishLasso(); return; }
    path = null;
    if (!wasDrag) {
      const row = nearest(...at(event));
      if (row >= 0) openDetail(row, caught && caught.includes(row) ? caught : [row]);
      else if (caught) { caught = null; updateFound(); }
    }
    drawOverlay();
  });
  canvas.addEventListener('pointercancel', () => { drag = null; path = null; drawOverlay(); }); // the page scrolls instead
  canvas.addEventListener('pointerleave', () => { if (!drag) hover(-1); });
  canvas.addEventListener('wheel', (event) => {
    if (!event.ctrlKey && !event.metaKey) return; // the page scrolls; a pinch zooms
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), ...at(event));
  }, { passive: false });
  canvas.addEventListener('keydown', (event) => {
    const step = 0.1 / view.scale;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    if (event.key in moves) { view.x += moves[event.key][0]; view.y += moves[event.key][1]; draw(); event.preventDefault(); }
    else if (event.key === '+') zoom(1.5);
    else if (event.key === '-') zoom(1 / 1.5);
  });

  function zoom(factor, screenX, screenY) {
    const { width, height } = size();
    const [x, y] = [screenX === undefined ? width / 2 : screenX, screenY === undefined ? height / 2 : screenY];
    const [unitFixedX, unitFixedY] = toUnit(x, y);
    view.scale = Math.min(60, Math.max(0.8, view.scale * factor));
    const [afterX, afterY] = toUnit(x, y);
    view.x += unitFixedX - afterX;
    view.y += unitFixedY - afterY;
    drawSoon();
  }

  function updateModes() {
    replaceChildren(modes, [['lasso', 'Lasso'], ['pan', 'Move']].map(([value, name]) => button(name, () => { mode = mode === value ? '' : value; keepingFocus(updateModes); }, { 'aria-pressed': String(mode === value) })));
    canvas.style.touchAction = mode ? 'none' : 'pan-y';
    canvas.style.cursor = mode === 'pan' ? 'grab' : 'crosshair';
  }

  function updateLegend() {
    if (colouring.value === 'cluster') {
      replaceChildren(legend, clusters().filter((cluster) => members(cluster).length).map((cluster) => button([chip(cluster), h('span', { class: 'faint' }, number(members(cluster).length))], () => {
        highlighted = highlighted === cluster ? null : cluster;
        keepingFocus(updateLegend);
        draw();
      }, { class: 'legend-item', 'aria-pressed': String(highlighted === cluster), 'data-action': `legend-${cluster}` })));
      return;
    }
    const entries = colouredMark() ? [['--change-fill', markName(colouredMark())], ['--point-faint', 'not']]
      : colouring.value === 'density' ? [['--s4', 'crowded'], ['--s3', ''], ['--s2', ''], ['--s1', ''], ['--s0', 'lonely']] : colouring.value === 'doubt' ? [['--s0', 'above 80 % doubt'], ['--s1', '60–80 %'], ['--s2', '40–60 %'], ['--s3', '20–40 %'], ['--s4', 'below 20 %']] : colouring.value === 'changed'
      ? [...changes.map((change) => [change.colour, change.name]), ['--point-faint', 'As before']]
      : [['--s0', 'below 60 %'], ['--s1', '60–70 %'], ['--s2', '70–80 %'], ['--s3', '80–90 %'], ['--s4', 'above 90 %']];
    replaceChildren(legend, entries.map(([name, text]) => h('span', { class: 'legend-item' }, h('span', { class: 'swatch', style: { background: `var(${name})` } }), text)));
  }

  function updateFound() {
    if (!caught) {
      path = null;
      replaceChildren(found, h('p', { class: 'note' }, coarse ? 'Press Lasso, then draw around some points.' : 'Draw around some points and they are listed here. Click a point to open it; hold Shift to move the map, Ctrl and the wheel to zoom.'));
      drawOverlay();
      return;
    }
    const pictures = gallery(() => caught, { size: 'small', lines: 6, label: 'In the lasso' });
    replaceChildren(found,
      h('div', { class: 'map-found-head' }, h('strong', null, plural(caught.length, noun)), ' in the lasso',
        button('Clear', () => { caught = null; updateFound(); }, { class: 'link' })),
      caught.length > 0 && h('div', { class: 'row-actions' }, clusterSelect('Move all to…', (cluster) => moveTo(caught, cluster), { withNew: true })),
      pictures.element);
    pictures.update();
  }

  colouring.addEventListener('change', () => { highlighted = null; updateLegend(); draw(); });
  listeners.push(() => {
    if (highlighted !== null && !members(highlighted).length) highlighted = null;
    middles.clear();
    updateLegend();
    if (caught) updateFound();
    draw();
  });
  themeListeners.push(draw);
  updateModes();
  updateLegend();
  updateFound();
  whenNear(frame, build);
  addEventListener('beforeprint', () => { draw(); onPaper.src = canvas.toDataURL(); });
}
