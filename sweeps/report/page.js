// Kept gzipped in the page: plotly's script, and all trials with all digits.
async function unpacked(id) {
  const letters = atob(document.getElementById(id).textContent.trim());
  const packed = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) packed[place] = letters.charCodeAt(place);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}

// What differs in the dark; everything else is the same on both grounds.
const night = {
  "#1d2530": "#e6eaf0", "#566170": "#9aa5b4", "#e4e8ed": "#2c343f", "#ffffff": "#171c23", "white": "#171c24",
  "rgba(255,255,255,.8)": "rgba(23,28,35,.8)", "#c2500f": "#ef8143", "#2f6db3": "#6ba6e8", "#0b7a6f": "#35b3a5",
  "#7a5ea8": "#a98fdb", "#b3261e": "#ef6a63", "#b3264e": "#ec6a8f", "#4b7f2a": "#83bb5d",
};
const day = Object.fromEntries(Object.entries(night).map(([light, dark]) => [dark, light]));
const same = {};
const isDark = matchMedia("(prefers-color-scheme: dark)");

// Optuna's scale of blues on white becomes one of its opposites on black, and back.
const opposite = color => color.replace(/[\d.]+/g, part => 255 - part);

function painted(value, colors) {
  if (typeof value === "string") return colors[value] ?? (colors !== same && /^rgb\(/.test(value) ? opposite(value) : value);
  if (Array.isArray(value)) return value.map(item => painted(item, colors));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, painted(item, colors)]));
}

// As wide as its place, unless a width is given.
function draw(anchor, colors, width) {
  const {data, layout} = painted(figures[anchor], colors);
  return Plotly.react(anchor, data, {...layout, width}, {responsive: true, displayModeBar: false});
}

// One chart after the other, so that the page answers meanwhile.
const waiting = [...document.querySelectorAll(".chart")].map(place => place.id);
const drawn = (async () => {
  if (!waiting.length) return;
  if (!window.DecompressionStream) {
    for (const place of document.querySelectorAll(".chart")) place.textContent = "The charts need a browser of 2023 or newer; the tables do not.";
    return;
  }
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  while (waiting.length) {
    await draw(waiting.shift(), isDark.matches ? night : same);
    await new Promise(done => setTimeout(done));
  }
})();

function redraw(colors, width) {
  if (!window.Plotly) return;
  waiting.length = 0;
  for (const anchor of Object.keys(figures)) {
    const redrawn = draw(anchor, colors, width);
    if (!width) redrawn.then(() => Plotly.Plots.resize(anchor));
  }
}
isDark.addEventListener("change", () => redraw(isDark.matches ? night : same));
addEventListener("beforeprint", () => redraw(same, 660));
addEventListener("afterprint", () => redraw(isDark.matches ? night : same));

function save(url, name) {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}

// As it is shown, zoom included, on white.
function picture(anchor, format) {
  const shown = document.getElementById(anchor);
  const {data, layout} = painted({data: shown.data, layout: shown.layout}, isDark.matches ? day : same);
  const size = {width: Math.max(shown.clientWidth, 640), height: figures[anchor].layout.height, scale: format === "png" ? 3 : 1};
  return Plotly.toImage({data, layout: {...layout, paper_bgcolor: "#ffffff"}}, {format, ...size});
}

for (const anchor of Object.keys(figures)) {
  const row = document.createElement("p");
  row.className = "save";
  for (const format of ["png", "svg"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = `Save as ${format.toUpperCase()}`;
    const file = `${fileName}-${anchor.replaceAll("/", "-")}.${format}`;
    button.addEventListener("click", async () => save(await picture(anchor, format), file));
    row.append(button);
  }
  document.getElementById(anchor).closest("section").append(row);
}

function compare(a, b) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return Number.isNaN(difference) ? a.localeCompare(b) : difference;
}

for (const head of document.querySelectorAll("table.trials th")) {
  head.firstElementChild.addEventListener("click", () => {
    const column = head.cellIndex, body = head.closest("table").tBodies[0];
    const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const order = row => row.cells[column].dataset.order;
    const rows = [...body.rows].sort((a, b) => order(a) === "" || order(b) === "" ? compare(order(a), order(b)) : sign * compare(order(a), order(b)));
    body.append(...rows);
  });
}

document.getElementById("save-csv")?.addEventListener("click", async () => {
  save(URL.createObjectURL(new Blob([await unpacked("trials-csv")], {type: "text/csv"})), `${fileName}-trials.csv`);
});
