"use strict";

const byId = id => document.getElementById(id);
const clamp = value => Math.min(1, Math.max(0, value));

/**
 * What the visitor has given, one of each kind. region: shares of the picture [x, y, width, height].
 * asked: all that was asked for with it, as JSON. found: the answer to that.
 */
const queries = {
  picture: { kind: "picture", file: null, region: null, asked: "", found: null },
  sound: { kind: "sound", file: null, region: null, asked: "", found: null },
};
let query = queries.picture; // of the tab that is open
let asking = new AbortController(); // only the newest question is answered

const KINDS = {
  picture: {
    title: "Sounds for a picture", accept: "image/*", path: "/api/sounds",
    hint: "Choose a picture, drop or paste it here.",
  },
  sound: {
    title: "Pictures for a sound", accept: "audio/*,video/*", path: "/api/pictures",
    hint: "Choose a sound or a video, or drop it here.",
  },
};

/* ---- what the visitor gives ---- */

function turnTo(kind) {
  if (query === queries[kind]) return;
  query = queries[kind];
  document.body.classList.toggle("sound", kind === "sound");
  document.title = document.querySelector("h1").textContent = KINDS[kind].title;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${kind}`;
    tab.setAttribute("aria-selected", chosen);
    tab.tabIndex = chosen ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${kind}`);
  byId("file").accept = KINDS[kind].accept;
  byId("camera").hidden = kind !== "picture";
  byId("diverse").parentElement.hidden = kind !== "picture";
  present();
}

function take(file) {
  Object.assign(query, { file, region: null, asked: "", found: null });
  present();
}

/** Show what was given and its answer; ask where there is none yet, or it was to other wishes. */
function present() {
  const file = query.file;
  asking.abort(); // an answer to what was given before is no longer wanted
  document.body.classList.remove("busy");
  for (const shown of [byId("shown"), byId("heard")]) {
    if (shown.src.startsWith("blob:")) URL.revokeObjectURL(shown.src);
    shown.removeAttribute("src");
  }
  setRegion(query.region);
  byId("stage").hidden = byId("heard").hidden = true;
  byId("go").disabled = !file;
  byId("hint").textContent = KINDS[query.kind].hint;
  show(query.found);
  if (!file) return;
  byId("hint").textContent = query.kind === "picture" ? "Draw a frame on it to ask about a part." : file.name;
  const shown = byId(query.kind === "picture" ? "shown" : "heard");
  shown.src = URL.createObjectURL(file);
  if (query.kind === "picture") byId("stage").hidden = false;
  else byId("heard").hidden = false;
  ask();
}

byId("shown").addEventListener("error", () => {
  byId("stage").hidden = true;
  byId("hint").textContent = query.file ? `${query.file.name} cannot be shown here.` : "";
});

for (const id of ["file", "photo"]) {
  byId(id).addEventListener("change", event => {
    if (event.target.files.length) take(event.target.files[0]);
    event.target.value = "";
  });
}
for (const [kind, other] of [["picture", "sound"], ["sound", "picture"]]) {
  byId(`tab-${kind}`).addEventListener("click", () => turnTo(kind));
  byId(`tab-${kind}`).addEventListener("keydown", event => {
    if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    turnTo(other);
    byId(`tab-${other}`).focus();
  });
}
document.addEventListener("paste", event => {
  const file = [...event.clipboardData.files][0];
  if (file) take(file);
});
const drop = byId("drop");
for (const name of ["dragover", "dragleave", "drop"]) {
  drop.addEventListener(name, event => {
    event.preventDefault();
    drop.classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  });
}

/* ---- the part of the picture ---- */

function setRegion(region) {
  query.region = region;
  const box = byId("region");
  box.hidden = byId("whole").hidden = !region;
  if (!region) return;
  const [left, top, width, height] = region.map(share => `${100 * share}%`);
  Object.assign(box.style, { left, top, width, height });
}

const stage = byId("stage");
let corner = null;

function shareAt(event) {
  const box = byId("shown").getBoundingClientRect();
  return [clamp((event.clientX - box.left) / box.width), clamp((event.clientY - box.top) / box.height)];
}
stage.addEventListener("pointerdown", event => {
  event.preventDefault();
  corner = shareAt(event);
  stage.setPointerCapture(event.pointerId);
});
stage.addEventListener("pointermove", event => {
  if (!corner) return;
  const here = shareAt(event);
  const [x, y] = [0, 1].map(i => Math.min(corner[i], here[i]));
  setRegion([x, y, Math.abs(here[0] - corner[0]), Math.abs(here[1] - corner[1])]);
});
stage.addEventListener("pointerup", () => {
  if (!corner) return;
  corner = null;
  if (query.region && (query.region[2] < 0.03 || query.region[3] < 0.03)) setRegion(null); // a tap
  ask();
});
stage.addEventListener("pointercancel", () => {
  if (!corner) return;
  corner = null;
  setRegion(null);
  ask();
});
byId("whole").addEventListener("click", () => { setRegion(null); ask(); });

/* ---- asking ---- */

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  return form;
}

async function answerOf(response) {
  if (response.ok) return response;
  const said = await response.json().catch(() => ({ error: `the server answers ${response.status}` }));
  throw new Error(said.error);
}

let pause = 0; // until what was changed is asked
const isAsking = () => document.body.classList.contains("busy");

/** again: also where the answer is there already. */
async function ask(again = false) {
  clearTimeout(pause);
  if (!query.file || !byId("ask").reportValidity()) return;
  const fields = { top: byId("top").value, duration: byId("auto").checked ? "auto" : byId("duration").value };
  if (query.kind === "picture" && byId("diverse").checked) fields.diverse = "1";
  if (query.region) fields.region = query.region.map(share => share.toFixed(5)).join(",");
  const asked = JSON.stringify(fields);
  if (asked === query.asked && (isAsking() || (query.found && !again))) return;
  asking.abort();
  document.body.classList.remove("busy");
  Object.assign(query, { asked, found: null });
  asking = new AbortController();
  const signal = asking.signal;
  fields[query.kind] = query.file;
  document.body.classList.add("busy");
  byId("confidence").textContent = query.kind === "picture" ? "Looking …" : "Listening …";
  try {
    const request = { method: "POST", body: formOf(fields), signal };
    const response = await answerOf(await fetch(KINDS[query.kind].path, request));
    const found = await response.json();
    if (!signal.aborted) show(query.found = found);
  } catch (error) {
    if (!signal.aborted) show(null, error.message);
  }
  if (!signal.aborted) document.body.classList.remove("busy");
}

byId("ask").addEventListener("submit", event => { event.preventDefault(); ask(true); });
byId("auto").addEventListener("change", event => { byId("duration").disabled = event.target.checked; });
for (const id of ["top", "duration", "auto", "diverse"]) {
  byId(id).addEventListener("change", () => {
    clearTimeout(pause);
    pause = setTimeout(ask, 300); // more may follow
  });
}

/* ---- answers ---- */

function complain(sentence) {
  byId("said").hidden = !sentence;
  byId("said").textContent = sentence ? sentence[0].toUpperCase() + sentence.slice(1) + "." : "";
}

function show(found, error) {
  complain(error);
  const line = byId("confidence");
  line.className = found?.note ? "doubt" : "";
  line.textContent = "";
  if (found && found.confidence !== null) {
    const sure = `confidence ${found.confidence.toPrecision(2)}`;
    line.textContent = found.note ? `N${found.note.slice(1)} (${sure}). The nearest there is:` : `Found, ${sure}.`;
  }
  byId("found").replaceChildren(...(found?.suggestions ?? []).map(card));
}

function card(one) {
  const made = byId("card").content.cloneNode(true);
  const part = selector => made.querySelector(selector);
  part(".frame").src = one.frame;
  part(".frame").alt = `The moment in ${one.video}`;
  part(".frame").addEventListener("error", event => { event.target.style.visibility = "hidden"; });
  part("h2").textContent = `${one.rank}. ${one.video}, ${one.time_s.toFixed(1)} s`;
  const length = one.duration_s ? `${one.duration_s.toFixed(2)} s of sound · ` : "";
  part(".where").textContent = `${length}distance ${one.distance.toFixed(3)} · component ${one.component_id}`;
  part(".jpg").href = one.frame;
  part(".jpg").hidden = query.kind === "picture";
  part(".film").hidden = query.kind !== "picture";
  if (one.unavailable) {
    part(".where").textContent += ` · no sound: ${one.unavailable}`;
    for (const gone of ["canvas", "audio", ".pick"]) part(gone).remove();
    return made;
  }
  part("audio").src = part(".wav").href = one.sound;
  part("audio").setAttribute("aria-label", `Sound ${one.rank}`);
  part(".film").addEventListener("click", event => saveFilm(one, event.target));
  draw(part("canvas"), one.outline, part("audio"));
  return made;
}

function draw(canvas, outline, audio) {
  const paint = () => {
    const brush = canvas.getContext("2d");
    const step = canvas.width / outline.length;
    const loudest = Math.max(...outline, 1e-3);
    const played = audio.duration ? audio.currentTime / audio.duration : 0;
    const colour = getComputedStyle(canvas).color;
    brush.clearRect(0, 0, canvas.width, canvas.height);
    outline.forEach((level, place) => {
      const high = Math.max(2, (level / loudest) * canvas.height);
      brush.globalAlpha = place / outline.length < played ? 1 : 0.45;
      brush.fillStyle = colour;
      brush.fillRect(place * step, (canvas.height - high) / 2, step * 0.7, high);
    });
  };
  audio.addEventListener("timeupdate", paint);
  requestAnimationFrame(paint);
}

async function saveFilm(one, button) {
  button.disabled = true;
  try {
    const { sample_id, start_s: start, duration_s: duration } = one;
    const body = formOf({ sample_id, start, duration, picture: query.file });
    const response = await answerOf(await fetch("/api/films", { method: "POST", body }));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await response.blob());
    link.download = `avlib-${sample_id}.mp4`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  } catch (error) {
    complain(error.message);
  }
  button.disabled = false;
}

/* ---- at first ---- */

(async () => {
  try {
    const about = await (await answerOf(await fetch("/api/collection"))).json();
    byId("about").textContent = `${about.samples.toLocaleString("en")} samples, filter run ${about.filter}`;
    byId("tab-sound").hidden = !about.sounds;
    byId("top").max = about.limits.most;
    byId("duration").min = about.limits.least_s;
    byId("duration").max = about.limits.longest_s;
    byId("top").value = about.defaults.top;
    byId("auto").checked = byId("duration").disabled = about.defaults.duration === "auto";
    if (about.defaults.duration !== "auto") byId("duration").value = about.defaults.duration;
  } catch (error) {
    byId("about").textContent = "";
    complain(error.message);
  }
})();
