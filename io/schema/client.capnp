# Reel's protocol for clients: Cap'n Proto RPC over a byte stream (TCP), schema version 1. This file is all
# that a client in any language needs; peers.capnp is for replicas only.
#
# Authority is by capability. The bootstrap object can only log in; a session gives partitions and, to an
# operator, the administration object. What you do not hold you cannot call, and what you were not given you
# cannot name.
#
# Limits, checked before memory is taken. Until login() has answered, a connection may send 64 KiB in all, and
# has a few seconds for it; afterwards a single RPC message may have 16 MiB. Beyond that the connection is
# closed. The limits of each call are at the call; beyond them the answer is a CallError.
#
# Outcomes are values: every result is a union of what was asked for and a CallError. RPC exceptions mean a
# broken connection or a broken caller, and then the outcome of calls in flight is unknown: repeat appends
# under the same session and sequence, at this node or another, and they happen once.
#
# Names: a *partition* is one totally ordered log. Its transactions have ids 0, 1, 2, … without gaps. Times of
# commit are nanoseconds since 1970, only rise within a partition, and are unique. Integers in byte blocks are
# little-endian. XXH3 means XXH3_64bits_withSeed and XXH3_128bits of the xxHash library; 128-bit sums are
# stored low half first.

@0xb3c2f1d0a97e4465;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("reel::schema");

interface Reel {
  # The bootstrap object of every node.

  login @0 (token :Text, schemaVersion :UInt32) -> (session :Session, node :NodeInfo, error :CallError);
  # Trades a secret token (at most 256 bytes) for a session with the rights that the token stands for.
  # A node that serves as many clients as it may answers `overloaded`: try again later, or another node.
  # `session` is null and `error` set (Unauthorized) if it stands for none; a refused connection gets no
  # second try. `schemaVersion` is 1. You may pipeline calls on `session`, within the 64 KiB that an unknown
  # caller may send.
}

struct NodeInfo {
  # Who answered.
  node @0 :UInt64;          # the node's id, as it stands in the cluster's configuration
  cluster @1 :UInt64;
  incarnation @2 :UInt64;   # rises with each start of the node
  schemaVersion @3 :UInt32;
  members @4 :List(Member); # all nodes of the cluster, this one too, as this node's configuration names them;
                            # only to clients, at most 64
}

struct Member {
  # Where a node listens.
  node @0 :UInt64;
  address @1 :Text;         # "host:port", at most 256 bytes
}

interface Session {
  # One logged-in connection. (Not the *append session*, a number that outlives connections: see AppendBatch.)

  partition @0 (partition :UInt32) -> (partition :Partition, error :CallError);
  # Read and append. Unauthorized unless the token may append. That the partition exists is checked by each
  # call.

  reader @1 (partition :UInt32) -> (reader :Reader, error :CallError);
  # Read only; may be handed on to code that must not append.

  status @2 () -> StatusResult;

  admin @3 () -> (admin :Admin, error :CallError);
  # Unauthorized unless the token is an operator's.

  readerGroup @4 (report :ReaderGroupReport) -> ReaderGroupResult;
  # A member of a reader group says how far it has come, and hears which partitions are its. For any token that may
  # read. Asked of the leader of partition 0 (else NotLeader with a hint).

  readerGroups @5 (name :Text) -> ReaderGroupsResult;
  # One reader group, or the names of all if `name` is empty. For any token that may read, at the same leader.
}

struct ReaderGroupReport {
  # Reader groups share out the partitions among processes that read them together. The cluster keeps the members,
  # who owns which partition, and how far the group has come in each: its *position*, the id before which all is done
  # with. Each partition has one owner at most, and each member as many as any other, give or take one.
  #
  # A member reports about three times within its patience; who is silent for longer is out, and its partitions go to
  # others. Then its reports get Expired; it may join again.
  #
  # An owner reads its partition from the position on (Reader.feed), and reports from time to time how far it has come.
  # A report counts only from the owner and with the epoch in which it was given the partition, so whoever lost a
  # partition cannot move its position any more. What was done and not reported is done again by the next owner; with a
  # database, keep the position there, and take the group's only as a hint. A partition that another member waits for is
  # `revoked`: finish what you have begun, report it with `released`, and read it no more. When your patience has passed it
  # is taken from you.
  #
  # Reporting again is harmless, whatever became of the call before.

  name @0 :Text;            # 1 to 128 of letters, digits and . _ - : /
  memberHigh @1 :UInt64;    # the member: 128 bits that it draws at random, not zero
  memberLow @2 :UInt64;
  verb @3 :Verb;
  patienceNs @4 :UInt64;    # of join: 100 ms to an hour
  progress @5 :List(Progress);
  checksum @6 :UInt64;
  # XXH3 of the name, seeded with XXH3 of these words of 8 bytes: memberHigh, memberLow, verb, patienceNs; for each
  # progress its partition, epoch, next, released (0 or 1). Malformed if it differs.

  enum Verb {
    report @0;
    join @1;                # and be a member, if you are none
    leave @2;               # and be none any more
  }

  struct Progress {
    partition @0 :UInt32;
    epoch @1 :UInt64;
    next @2 :UInt64;        # all before is done with
    released @3 :Bool;
  }
}

struct ReaderGroupResult {
  union {
    assignment @0 :Assignment;
    error @1 :CallError;    # Expired: not a member
  }

  struct Assignment {
    members @0 :UInt32;     # of the group
    partitions @1 :UInt32;  # of the cluster
    shares @2 :List(Share);
    checksum @3 :UInt64;
    # XXH3 of these words of 8 bytes: members, partitions; for each share its partition, epoch, next, revoked (0 or 1).
  }

  struct Share {
    # A partition that is the member's.
    partition @0 :UInt32;
    epoch @1 :UInt64;
    next @2 :UInt64;        # the position
    revoked @3 :Bool;
  }
}

struct ReaderGroupsResult {
  union {
    groups @0 :List(Group); # without members and positions, unless one was asked for by name
    error @1 :CallError;
  }

  struct Group {
    name @0 :Text;
    members @1 :List(Member);
    positions @2 :List(Position);
  }
  struct Member {
    high @0 :UInt64;
    low @1 :UInt64;
    patienceNs @2 :UInt64;
  }
  struct Position {
    partition @0 :UInt32;
    ownerHigh @1 :UInt64;   # 0, 0: nobody
    ownerLow @2 :UInt64;
    heirHigh @3 :UInt64;    # who waits for it
    heirLow @4 :UInt64;
    epoch @5 :UInt64;
    next @6 :UInt64;
  }
}

interface Reader {
  feed @0 (from :UInt64, credit :UInt32, waitNs :UInt64, fromTime :UInt64, filter :FeedFilter) -> FeedResult;
  # Committed transactions in order, from id `from` on, as whole entries; the first entry may begin before
  # `from`. At most `credit` bytes (limit 8 MiB), but at least one entry if there is any. If nothing is
  # committed at `from` yet, the answer waits until something is, at most `waitNs`, and is then empty. Call
  # again with the id behind the last transaction received; several calls may be in flight only if you know
  # where each begins.
  #
  # With `fromTime` it begins with the first transaction, from `from` on, whose commit time is that or later. Give
  # it until a transaction has come, then go on by id.
  #
  # With a filter the answer has `matches` instead of `entries`: those transactions alone to which all of the filter
  # applies, at most `credit` bytes of records, but at least one if there is any. It waits for a match, but also comes
  # without one when the node has looked at enough: go on at its `next`.

  highWater @1 (linearizable :Bool = true) -> HighWaterResult;
  # The id that the next transaction will get. Linearizable: at least everything that anybody was told was
  # committed before this call began (leader only). Otherwise whatever this node knows, at once.

  transaction @2 (id :UInt64) -> TransactionResult;
  # One committed transaction, as far as this node knows.
}

struct FeedFilter {
  # Which transactions a feed is asked for: those to which all of it applies. Empty: all.
  headerMask @0 :UInt32;    # (header & headerMask) == headerValue; 0: any header
  headerValue @1 :UInt32;   # no bit outside of the mask, else Malformed
  byLock @2 :Bool;          # they have a lock, of any kind, on this key: its hash as in AppendBatch.block
  lockLow @3 :UInt64;
  lockHigh @4 :UInt64;
}

struct Transaction {
  # One transaction without its entry.
  id @0 :UInt64;
  time @1 :UInt64;
  sessionHigh @2 :UInt64;
  sessionLow @3 :UInt64;
  sequence @4 :UInt64;
  record @5 :Data;          # laid out as in AppendBatch.block
}
# Its checksum, with a seed: XXH3 of the record, seeded with XXH3, seeded with that seed, of the five numbers as 40
# bytes, little-endian.

interface Partition extends(Reader) {
  append @0 (batch :AppendBatch) -> AppendResult;
  # Leader only (else NotLeader with a hint). Answers when all transactions of the batch are durable on a
  # quorum, or refused. Calls may be pipelined; those of one append session reach the log in the order of
  # their sequences if `ordered` is set.

  resolve @1 (sessionHigh :UInt64, sessionLow :UInt64, opened :UInt64, sequence :UInt64, burn :Bool = true)
      -> ResolveResult;
  # What became of one transaction of an append session? For a client that lost track of it: it got no answer,
  # or it starts again and finds in its own records that it had sent it. The parameters name the transaction as
  # AppendBatch does. Leader only.
  #
  # If the transaction is committed, the answer says as what. Else it is *burned*: the log records that it never
  # commits, whatever copies of it are still on their way, or repeated later; appending it is then refused
  # (Refusal.burned). So the answer is final either way, and may be acted upon: after `burned` the same work
  # may be appended again under another sequence, and happens once. A transaction that is on its way into the
  # log is not burned: the answer waits for its outcome.
  #
  # Nothing is burned without being asked for, but by asking too early you burn what you may have wanted: a
  # transaction that only might be lost is better appended again, under the same sequence. Answers when the
  # outcome is durable on a quorum. A CallError says nothing of the transaction, which may be burned all the
  # same: repeat the call, that is harmless. But Expired means that the outcome is forgotten, and no call can
  # tell it any more.
  #
  # Without `burn` it only looks: what is neither committed nor burned nor on its way is `undecided`, which promises
  # nothing. It may commit right behind the answer.

  appendEach @2 (batches :List(AppendBatch)) -> AppendEachResult;
  # As many calls of append(), in this order, in one message: what a client has to say on behalf of many append sessions
  # at one time is far cheaper so. Answers when the last of them is answered. 1 … 1024 batches, 256 KiB of blocks together
  # (one alone may have more).
}

struct AppendEachResult {
  union {
    results @0 :List(AppendResult);  # of each batch, in the order of the call
    error @1 :CallError;             # of the call as a whole: nothing of it was done
  }
}

struct ResolveResult {
  union {
    committed @0 :CommittedRun;  # of this one sequence: its count is 1
    burned @1 :Void;             # it never commits
    error @2 :CallError;         # not known
    undecided @3 :Void;          # only without `burn`
  }
}

struct AppendBatch {
  # A batch of transactions of one append session. Many small transactions in one batch are far cheaper than
  # many calls.
  #
  # Exactly once: an append session is a number of 128 bits that the client draws at random and keeps; it is
  # opened by its first append or resolve. Each transaction has a sequence in it: 1, 2, 3, … A sequence that is
  # appended again, by a repeated call to any node, gives the original's outcome and nothing is written twice.
  # The log remembers the newest 16384 sequences of a session, so keep fewer outstanding; older ones get
  # Expired. It drops sessions that were idle for long (a day of the log's time, unless the cluster says
  # otherwise), or the longest when there are too many; appends of those get Expired too. See `opened`.

  sessionHigh @0 :UInt64;
  sessionLow @1 :UInt64;
  firstSequence @2 :UInt64;  # of the block's first transaction; the others follow without gaps
  count @3 :UInt32;          # transactions in the block, 1 … 16384
  ordered @4 :Bool;
  # Append only directly behind sequence firstSequence - 1 of this session, else OutOfOrder with the sequence
  # to go on from. So a pipelined stream keeps its order although calls get lost; its transactions have no write
  # and no read locks (Malformed), since a refusal would be a hole. Without it, each batch is on its own.

  block @5 :Data;
  # `count` records back to back, 3 MiB at most. A record (version 1), everything little-endian:
  #
  #    offset  bytes
  #         0      4  header: the application's own 32 bits, for filters
  #         4      4  size of the data in bytes, D (at most 1 MiB)
  #         8      2  number of write locks, W
  #        10      2  number of read locks, R
  #        12      2  number of append locks, A        W + R + A <= 256
  #        14      2  zero
  #        16      8  based_on + 1, where based_on is the highest id that the client had applied;
  #                   0: based on nothing
  #        24     16  XXH3-128 of the data, computed by the client, verified by readers, by nobody in between
  #        40      8  zero (intent of a multi-partition transaction)
  #        48  16·(W+R+A)  locks: write locks, then read locks, then append locks; each is XXH3-128 of the
  #                   cluster's id (NodeInfo.cluster, u64) followed by the bytes of its key
  #         …      D  data
  #         …         zeros up to a multiple of 8
  #
  # Locks make a transaction conditional: it commits only if nothing that its client had not applied has changed
  # what it depends on. They hold for that decision only; nothing is ever held, and nothing is to be released.
  # Keys are byte strings that the application chooses. A *write* lock says that the transaction changes the key
  # and depends on its value; a *read* lock, that it depends on it; an *append* lock, that it changes the key
  # whatever its value (adds to a list, to a counter). Whoever changed a key with an id above based_on, whether
  # by this or another session, or earlier in this batch, conflicts with it:
  #
  #     earlier, id > based_on \ later   write     read      append
  #     write                            conflict  conflict  ok
  #     append                           conflict  conflict  ok
  #     read                             ok        ok        ok
  #
  # Without locks a transaction is never in conflict, and never stands in the way of another. Two keys with the
  # same hash can only cause a conflict that was none.

  checksum @6 :UInt64;
  # XXH3 of the block, seeded with XXH3 (seeded with `opened`) of these 40 bytes: partition u32, count u32,
  # sessionHigh u64, sessionLow u64, firstSequence u64, ordered as u64 (0 or 1). Malformed if it differs.

  opened @7 :UInt64;
  # An index of the partition's log that the client knew to be applied when it drew the session's number: 0 if it knew
  # none, else the `limit` of an Expired that it got before. It belongs to the session: kept with the number, sent with
  # each of its calls, and never raised.
  #
  # The log tells by it a new session, which it opens, from one that it has dropped, whose sequences may have
  # been committed: those get Expired. Then draw a new session, with `limit` as its `opened`. What you had outstanding
  # in the old one is forgotten: find out from the feed. 0 is always safe, and good for as long as the partition has
  # dropped no session. A number too high, of a session that was dropped, may commit a transaction twice.
}

struct AppendResult {
  union {
    committed @0 :List(CommittedRun);  # what is committed; in order of sequences
    error @1 :CallError;               # nothing is known to be committed; repeat under the same sequences
  }

  refusals @2 :List(Refusal);
  # What is not; in order of sequences. Unless there is an error, `committed` and `refusals` together cover the
  # batch's sequences, each once. One transaction's refusal does not concern the others.
}

struct Refusal {
  # Why one transaction did not commit.
  sequence @0 :UInt64;
  reason @1 :Reason;
  lock @2 :UInt32;      # conflict: a lock's place in the record, from 0, through all three kinds
  id @3 :UInt64;        # conflict, stale: see there

  enum Reason {
    none @0;            # never sent
    conflict @1;
    # Transaction `id`, committed and not applied by this client (`id` > based_on), changed the key of lock
    # number `lock`. Nothing is left behind: apply the feed up to `id` at least, execute again on what you then
    # know, and append the result, with its new based_on, under the same sequence. Of all attempts under one
    # sequence at most one commits.

    stale @2;
    # based_on is too old to be judged: which keys were changed before `id` is forgotten. As for a conflict, but
    # apply the feed up to `id` - 1 at least.

    burned @3;
    # It was resolved before (Partition.resolve) and never commits.
  }
}

struct CommittedRun {
  # Sequences first … first + count - 1 are committed as ids id … id + count - 1, at
  # times time … time + count - 1.
  first @0 :UInt64;
  count @1 :UInt32;
  id @2 :UInt64;
  time @3 :UInt64;
}

struct FeedResult {
  union {
    entries @0 :FeedBatch;
    error @1 :CallError;
    matches @2 :MatchBatch;  # of a feed with a filter
  }
}

struct MatchBatch {
  highWater @0 :UInt64;
  # As in FeedBatch.

  next @1 :UInt64;
  # The node looked at all transactions from where the call began up to before this one: go on here.

  matches @2 :List(Transaction);
  # Those of them that match, by id; at most 65536.

  checksum @3 :UInt64;
  # Begin with sum = highWater; then sum = XXH3 of `next` as 8 bytes, seeded with sum; for each match sum = its
  # checksum, seeded with sum.
}

struct TransactionResult {
  union {
    absent @0 :Void;                # its id is not below highWater
    transaction @1 :Transaction;
    error @2 :CallError;
  }
  highWater @3 :UInt64;             # as in FeedBatch
  checksum @4 :UInt64;              # of the transaction, seeded with highWater; without one, highWater
}

struct FeedBatch {
  highWater @0 :UInt64;
  # The next id as far as this node knows: how fresh the answer is.

  entries @1 :List(Data);
  # Contiguous. An entry (version 1) holds the transactions that were committed together:
  #
  #   entry     offset  bytes
  #                  0      2  version, 1
  #                  2      2  number of sections
  #                  4      4  number of transactions
  #                  8      8  id of the first transaction
  #                 16      8  commit time of the first transaction
  #                 24      8  zero
  #                 32         sections
  #   section        0      8  append session, high half
  #                  8      8  append session, low half
  #                 16      8  first sequence
  #                 24      4  number of sequences
  #                 28      4  bytes of records
  #                 32      2  kind: 0 transactions, 1 burn
  #                 34      2  flags: 1 opens its session; of no use to readers
  #                 36      4  number of write and append locks of all its records
  #                 40         records, laid out as in AppendBatch.block
  #
  # A transaction's id and time are the entry's plus its position in the entry; its sequence is the section's
  # plus its position in the section. A burn says that its sequences never commit: it has no records, and takes
  # no ids.

  checksum @2 :UInt64;
  # Begin with sum = highWater; for each entry sum = XXH3 of the entry, seeded with sum.
}

struct HighWaterResult {
  union {
    highWater @0 :UInt64;
    error @1 :CallError;
  }
}

enum ErrorCode {
  none @0;              # never sent
  notLeader @1;         # go to `hint`, if it is not 0
  overloaded @2;        # nothing was done; try again after retryAfterNs
  tooLarge @3;          # above `limit`, in the unit of what was limited
  outOfOrder @4;        # `limit` is the sequence to go on from
  expired @5;           # the session was dropped, or its window has passed this sequence: the outcome is
                        # forgotten; `limit` is what AppendBatch.opened of a session drawn now may be.
                        # Or the caller is no member of the reader group (any more)
  unauthorized @6;
  noSuchPartition @7;   # a node may not have heard yet of one that was created a moment ago
  unavailable @8;       # no leader, a failed disk, or starting up: try again, here or elsewhere
  deadlineExceeded @9;  # the outcome is unknown: repeat under the same sequences
  malformed @10;        # the caller is at fault
  noSuchReaderGroup @11;
}

struct CallError {
  code @0 :ErrorCode;
  hint @1 :UInt64;
  retryAfterNs @2 :UInt64;
  limit @3 :UInt64;
  text @4 :Text;        # one sentence for a human: what to do
}

enum Role {
  follower @0;
  preCandidate @1;
  candidate @2;
  leader @3;
}

struct StatusResult {
  union {
    status @0 :Status;
    error @1 :CallError;
  }
}

struct Status {
  # A node as it sees itself.
  node @0 :UInt64;
  cluster @1 :UInt64;
  incarnation @2 :UInt64;
  version @3 :Text;
  ready @4 :Bool;           # recovered and serving
  disk @5 :Text;            # "ok", or what is wrong
  journalBytes @6 :UInt64;
  journalFiles @7 :UInt64;
  syncs @8 :UInt64;         # data syncs since the start
  durableLsn @9 :UInt64;    # journal records up to here are durable
  groups @10 :List(Group);

  struct Group {
    # One Raft group; partition p is group p + 1.
    group @0 :UInt32;
    role @1 :Role;
    term @2 :UInt64;
    leader @3 :UInt64;      # 0: unknown
    firstIndex @4 :UInt64;
    lastIndex @5 :UInt64;
    commitIndex @6 :UInt64;
    appliedIndex @7 :UInt64;
    highWater @8 :UInt64;
    sessions @9 :UInt64;
    peers @10 :List(Peer);  # the leader's view; empty elsewhere
  }

  struct Peer {
    node @0 :UInt64;
    matchIndex @1 :UInt64;  # its log is known to equal the leader's up to here
    connected @2 :Bool;
  }
}

interface Admin {
  # For operators.

  transport @0 () -> (counters :TransportCounters);
  # What the node's network saw since its start.

  createPartitions @1 (total :UInt32) -> PartitionsResult;
  # The cluster has `total` partitions from now on, if it had fewer. Asked of the leader of partition 0. The new ones are
  # there on the other nodes a moment later. Repeating it is harmless.

  removeReaderGroup @2 (name :Text) -> (error :CallError);
  # Forgets a reader group, its members and its positions. Asked of the leader of partition 0.
}

struct PartitionsResult {
  union {
    total @0 :UInt32;
    error @1 :CallError;    # TooLarge: the nodes' tables have no room
  }
}

struct TransportCounters {
  accepted @0 :UInt64;              # connections
  refused @1 :UInt64;               # connections beyond a limit
  logins @2 :UInt64;
  loginsRefused @3 :UInt64;
  loginsLate @4 :UInt64;            # connections closed because nobody logged in
  framesRefused @5 :UInt64;         # connections closed for what they sent
  calls @6 :UInt64;
  callsCancelled @7 :UInt64;
  peerMessagesSent @8 :UInt64;
  peerMessagesReceived @9 :UInt64;
  peerMessagesDropped @10 :UInt64;  # a link was down or full
  bytesSent @11 :UInt64;
  bytesReceived @12 :UInt64;
  writes @13 :UInt64;               # system calls: far fewer than messages
}
