// Reads words from stdin, one a line, and prints those that neither the dictionary nor the list of argv knows.
// npm packages of package-lock.json: nspell, dictionary-en (US English).
const fs = require("node:fs");
const path = require("node:path");

const own = fs.readFileSync(process.argv[2], "utf8");
const folder = path.dirname(require.resolve("nspell/package.json"));
const nspell = require(folder);
const english = path.join(folder, "..", "dictionary-en");
const spell = nspell(fs.readFileSync(path.join(english, "index.aff")), fs.readFileSync(path.join(english, "index.dic")));
const known = new Set(own.split("\n").filter((line) => line && !line.startsWith("#")));
for (const word of fs.readFileSync(0, "utf8").split("\n"))
  if (word && !correct(word) && !word.split("-").every(correct)) console.log(word);

function correct(word) {
  return known.has(word) || known.has(word.toLowerCase()) || spell.correct(word);
}
