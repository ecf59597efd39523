// Writes for a few seconds, so that a dump meanwhile has an oplog: mongosh <uri> live.js

const session = db.getMongo().startSession();
const live = db.getSiblingDB("live");
for (let n = 0; n < 200; n++) {
  live.log.insertOne({ _id: n });
  live.log.updateOne({ _id: n }, { $set: { text: "\u00e4" } });
  live.log.deleteOne({ _id: n - 5 });
  session.startTransaction();
  session.getDatabase("live").log.insertMany([{ _id: n + "a" }, { _id: n + "b" }]);
  session.commitTransaction();
  live["c" + n].createIndex({ a: 1 });
  live["c" + n].drop();
  sleep(20);
}
