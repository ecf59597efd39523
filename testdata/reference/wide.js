// Adds more to a collection than mongodump gathers before it writes, 16 MiB: mongosh <uri> wide.js

const wide = db.getSiblingDB("wide");
for (const [name, letter] of [["a", "x"], ["b", "y"]]) {
  wide[name].insertMany(
    Array.from({ length: 9 }, (_, n) => ({ _id: n, text: letter.repeat(2097152 - 31) })),
  );
}
