#include "model/dependencies.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "io/ports/assert.h"

namespace reel::model {
namespace {

using Verb = Access::Verb;

// Of one transaction. More would make it the only one.
constexpr std::size_t kAccessesMax = 4096;
// In a description.
constexpr std::size_t kAccessesShown = 16;

std::string text_of(std::uint64_t number) { return std::to_string(number); }

bool is_end(const ClientTransaction& transaction) { return transaction.fate == Fate::committed; }

}  // namespace

Dependencies::Dependencies(std::span<const ClientTransaction> history, const TransactionCheckOptions& options)
    : history_(history),
      options_(options),
      type_(options.type),
      graph_(static_cast<std::uint32_t>(history.size())) {}

// ---- the index ----------------------------------------------------------------------------------------------------

std::optional<std::string> Dependencies::index() {
  for (std::uint32_t each = 0; each < history_.size(); ++each) {
    const ClientTransaction& transaction = history_[each];
    if (is_end(transaction) && transaction.returned == ClientTransaction::kOpen) {
      return placed_name(each) + " is committed and has no end";
    }
    if (transaction.returned < transaction.call) return placed_name(each) + " ends before it begins";
    if (transaction.accesses.size() > kAccessesMax) {
      return placed_name(each) + " has more than " + text_of(std::uint64_t{kAccessesMax}) +
             " reads and writes";
    }
    for (const Access& access : transaction.accesses) {
      key_names_.push_back(access.key);
      if (type_ == DataType::reg && access.verb == Verb::read && access.seen.size() > 1) {
        return placed_name(each) + " read several values of one register";
      }
    }
  }
  std::sort(key_names_.begin(), key_names_.end());
  key_names_.erase(std::unique(key_names_.begin(), key_names_.end()), key_names_.end());
  keys_.resize(key_names_.size());
  counted_.assign(history_.size(), 0);
  return index_writes();
}

std::optional<std::string> Dependencies::index_writes() {
  std::map<std::uint32_t, std::size_t> last;  // of one transaction: by key
  for (std::uint32_t each = 0; each < history_.size(); ++each) {
    last.clear();
    for (const Access& access : history_[each].accesses) {
      if (access.verb != Verb::write) continue;
      const std::uint32_t key = key_of(access.key);
      last[key] = writes_.size();
      writes_.push_back({key, access.value, each, kNone, false});
    }
    for (const auto& [key, write] : last) writes_[write].last = true;
  }
  if (writes_.size() >= kNone) return "it has more than 2^32 writes";
  std::sort(writes_.begin(), writes_.end(), [](const Write& a, const Write& b) {
    return std::tie(a.key, a.value, a.transaction) < std::tie(b.key, b.value, b.transaction);
  });
  for (std::uint32_t write = 0; write < writes_.size(); ++write) {
    const Write& here = writes_[write];
    if (write == 0 || writes_[write - 1].key != here.key) keys_[here.key].writes_begin = write;
    keys_[here.key].writes_end = write + 1;
    if (write > 0 && writes_[write - 1].key == here.key && writes_[write - 1].value == here.value) {
      return placed_name(writes_[write - 1].transaction) + " and " + placed_name(here.transaction) +
             " both write " + value_text(here.value) + " to key " + key_text(key_names_[here.key]) +
             ": nobody could tell whose was read";
    }
  }
  return std::nullopt;
}

std::uint32_t Dependencies::key_of(std::uint64_t name) const {
  const auto found = std::lower_bound(key_names_.begin(), key_names_.end(), name);
  return static_cast<std::uint32_t>(found - key_names_.begin());
}

std::uint32_t Dependencies::find(std::uint32_t key, std::uint64_t value) const {
  const auto begin = writes_.begin() + keys_[key].writes_begin;
  const auto end = writes_.begin() + keys_[key].writes_end;
  const auto found = std::lower_bound(
      begin, end, value, [](const Write& write, std::uint64_t wanted) { return write.value < wanted; });
  if (found == end || found->value != value) return kNone;
  return static_cast<std::uint32_t>(found - writes_.begin());
}

void Dependencies::report(Anomaly anomaly, std::vector<std::uint32_t> transactions, const std::string& text) {
  if ((reported_ & set_of(anomaly)) != 0) return;
  reported_ |= set_of(anomaly);
  std::string all = text;
  for (std::size_t each = 0; each < transactions.size(); ++each) {
    if (std::find(transactions.begin(), transactions.begin() + static_cast<std::ptrdiff_t>(each),
                  transactions[each]) == transactions.begin() + static_cast<std::ptrdiff_t>(each)) {
      all += "; " + describe(transactions[each]);
    }
  }
  anomalies_.push_back({anomaly, std::move(transactions), std::move(all)});
}

// ---- who counts, and what each of them saw ------------------------------------------------------------------------

void Dependencies::infer() {
  for (std::uint32_t each = 0; each < history_.size(); ++each) {
    if (history_[each].fate == Fate::committed) count(each);
  }
  for (std::size_t next = 0; next < to_look_at_.size(); ++next) look_at(to_look_at_[next]);
  order_in_time();
  std::sort(reads_.begin(), reads_.end(), [](const Read& a, const Read& b) {
    return std::tie(a.key, a.write, a.transaction, a.length) <
           std::tie(b.key, b.write, b.transaction, b.length);
  });
  std::size_t begin = 0;
  for (std::uint32_t key = 0; key < keys_.size(); ++key) {
    std::size_t end = begin;
    while (end < reads_.size() && reads_[end].key == key) ++end;
    const std::span<const Read> reads(reads_.data() + begin, end - begin);
    for (const Read& read : reads) check_intermediate(read);
    type_ == DataType::list ? infer_list(key, reads) : infer_register(key, reads);
    begin = end;
  }
  find_lost_updates();
}

void Dependencies::count(std::uint32_t transaction) {
  if (counted_[transaction] != 0) return;
  counted_[transaction] = 1;
  ++counted_total_;
  to_look_at_.push_back(transaction);
}

void Dependencies::look_at(std::uint32_t transaction) {
  Locals locals;
  const std::vector<Access>& accesses = history_[transaction].accesses;
  for (std::size_t each = 0; each < accesses.size(); ++each) {
    const Access& access = accesses[each];
    if (access.verb == Verb::read && !access.known) continue;
    const std::uint32_t key = key_of(access.key);
    Local& local = locals[key];
    if (access.verb == Verb::read) {
      type_ == DataType::list ? look_at_list(transaction, each, key, local)
                              : look_at_register(transaction, each, key, local);
    } else {
      if (type_ == DataType::reg) local.own.clear();
      local.own.push_back(access.value);
    }
  }
}

void Dependencies::look_at_list(std::uint32_t reader, std::size_t access, std::uint32_t key, Local& local) {
  const std::span<const std::uint64_t> seen = history_[reader].accesses[access].seen;
  const std::vector<std::uint64_t>& own = local.own;
  if (seen.size() < own.size() || !std::equal(own.rbegin(), own.rend(), seen.rbegin()) ||
      shows_future(reader, access)) {
    return report_internal(reader, access);
  }
  const std::span<const std::uint64_t> base = seen.first(seen.size() - own.size());
  if (local.read) {
    if (!std::equal(base.begin(), base.end(), local.base.begin(), local.base.end())) {
      return report_internal(reader, access);
    }
    if (!own.empty()) (void)take_list(reader, key, seen);
    return;
  }
  local.read = true;
  local.base = base;
  const bool in_order = take_list(reader, key, seen);
  reads_.push_back({reader, key, base.empty() ? kNone : find(key, base.back()),
                    static_cast<std::uint32_t>(base.size()), in_order});
}

void Dependencies::look_at_register(std::uint32_t reader, std::size_t access, std::uint32_t key,
                                    Local& local) {
  const std::span<const std::uint64_t> seen = history_[reader].accesses[access].seen;
  const std::span<const std::uint64_t> expected = local.own.empty() ? local.base : local.own;
  if (!local.own.empty() || local.read) {
    if (!std::equal(seen.begin(), seen.end(), expected.begin(), expected.end()))
      report_internal(reader, access);
    return;
  }
  if (shows_future(reader, access)) return report_internal(reader, access);
  local.read = true;
  local.base = seen;
  const std::uint32_t write = seen.empty() ? kNone : find(key, seen[0]);
  if (seen.empty() || meet(reader, key, seen[0], write)) reads_.push_back({reader, key, write, 0, true});
}

// Shows what the same transaction writes only later.
bool Dependencies::shows_future(std::uint32_t reader, std::size_t access) const {
  const std::vector<Access>& accesses = history_[reader].accesses;
  const Access& read = accesses[access];
  std::vector<std::uint64_t> later;
  for (const Access& each : std::span(accesses).subspan(access + 1)) {
    if (each.verb == Verb::write && each.key == read.key) later.push_back(each.value);
  }
  if (later.empty()) return false;
  std::sort(later.begin(), later.end());
  return std::any_of(read.seen.begin(), read.seen.end(), [&later](std::uint64_t value) {
    return std::binary_search(later.begin(), later.end(), value);
  });
}

void Dependencies::report_internal(std::uint32_t reader, std::size_t access) {
  const Access& read = history_[reader].accesses[access];
  const bool future = shows_future(reader, access);
  report(future ? Anomaly::future_read : Anomaly::internal, {reader},
         name(reader) + " read key " + key_text(read.key) + " as " + list_text(read.seen) +
             (future ? ", before it wrote some of this itself"
                     : ", which is not what it had read and written there before"));
}

// A counted transaction saw this write. False: nothing can depend on it.
bool Dependencies::meet(std::uint32_t reader, std::uint32_t key, std::uint64_t value, std::uint32_t write) {
  const auto what = [&] {
    return name(reader) + " read " + value_text(value) + " of key " + key_text(key_names_[key]);
  };
  if (write == kNone) {
    report(Anomaly::garbage_read, {reader}, what() + ", which nobody wrote");
    return false;
  }
  const std::uint32_t by = writes_[write].transaction;
  if (writer(write).fate == Fate::aborted) {
    report(Anomaly::g1a, {reader, by},
           what() + ", which " + name(by) + " wrote, and " + name(by) + " was aborted");
    return false;
  }
  count(by);
  return true;
}

// False if the list contradicts the order.
bool Dependencies::take_list(std::uint32_t reader, std::uint32_t key, std::span<const std::uint64_t> list) {
  const std::vector<Element>& order = keys_[key].order;
  const std::size_t shared = std::min(order.size(), list.size());
  std::size_t agreed = 0;
  while (agreed < shared && order[agreed].value == list[agreed]) ++agreed;
  if (agreed < shared) {
    for (const std::uint64_t value : list.subspan(agreed)) (void)meet(reader, key, value, find(key, value));
    report(Anomaly::incompatible_order, {reader, keys_[key].ordered_by},
           name(reader) + " and " + name(keys_[key].ordered_by) + " read key " + key_text(key_names_[key]) +
               " differently from element " + text_of(agreed) + " on: " + value_text(list[agreed]) + " and " +
               value_text(order[agreed].value));
    return false;
  }
  for (const std::uint64_t value : list.subspan(agreed)) {
    if (!extend(reader, key, value)) return false;
  }
  return true;
}

bool Dependencies::extend(std::uint32_t reader, std::uint32_t key, std::uint64_t value) {
  std::vector<Element>& order = keys_[key].order;
  const std::uint32_t write = find(key, value);
  const bool first = write != kNone ? writes_[write].position == kNone : garbage_.emplace(key, value).second;
  if (!first) {
    report(Anomaly::duplicate_elements, {reader},
           name(reader) + " read " + value_text(value) + " twice in key " + key_text(key_names_[key]));
    return false;
  }
  (void)meet(reader, key, value, write);
  if (write != kNone) writes_[write].position = static_cast<std::uint32_t>(order.size());
  order.push_back({value, write});
  keys_[key].ordered_by = reader;
  return true;
}

// ---- time ---------------------------------------------------------------------------------------------------------

void Dependencies::order_in_time() {
  std::vector<std::uint32_t> all;
  for (std::uint32_t each = 0; each < history_.size(); ++each) {
    if (counted_[each] != 0) all.push_back(each);
  }
  add_timeline(all, Dependency::realtime, Level::realtime);
  std::sort(all.begin(), all.end(), [this](std::uint32_t a, std::uint32_t b) {
    return std::tie(history_[a].process, a) < std::tie(history_[b].process, b);
  });
  for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
    while (end < all.size() && history_[all[end]].process == history_[all[begin]].process) ++end;
    add_timeline(std::span(all).subspan(begin, end - begin), Dependency::process, Level::process);
  }
}

// Who returned precedes whoever was called later: through a chain of joints, one for each return.
void Dependencies::add_timeline(std::span<const std::uint32_t> transactions, Dependency kind, Level level) {
  std::vector<std::uint32_t> ends;
  for (const std::uint32_t each : transactions) {
    if (is_end(history_[each])) ends.push_back(each);
  }
  std::sort(ends.begin(), ends.end(), [this](std::uint32_t a, std::uint32_t b) {
    return std::tie(history_[a].returned, a) < std::tie(history_[b].returned, b);
  });
  std::vector<std::uint32_t> joints;
  for (const std::uint32_t each : ends) {
    const std::uint32_t joint = graph_.add_joint();
    graph_.add(each, joint, kind, level);
    if (!joints.empty()) graph_.add(joints.back(), joint, Dependency::joint);
    joints.push_back(joint);
  }
  for (const std::uint32_t each : transactions) {
    const auto behind = std::lower_bound(
        ends.begin(), ends.end(), history_[each].call,
        [this](std::uint32_t end, std::uint64_t call) { return history_[end].returned < call; });
    if (behind == ends.begin()) continue;
    graph_.add(joints[static_cast<std::size_t>(behind - ends.begin()) - 1], each, Dependency::joint);
  }
}

// Each of `before` precedes the writer of each of these writes, but nobody himself: two chains of joints, one for the writers
// in front of him, one for those behind.
void Dependencies::precede_all(std::span<const std::uint32_t> before, std::span<const std::uint32_t> writes,
                               std::uint32_t key, std::uint32_t version, Dependency kind) {
  if (before.size() == 1 || writes.size() == 1) {
    for (const std::uint32_t each : before) {
      for (const std::uint32_t write : writes) {
        graph_.add(each, writes_[write].transaction, kind, Level::plain, key, version, write);
      }
    }
    return;
  }
  std::vector<std::pair<std::uint32_t, std::uint32_t>> behind;  // transaction, its first write
  for (const std::uint32_t write : writes) behind.emplace_back(writes_[write].transaction, write);
  std::sort(behind.begin(), behind.end());
  behind.erase(std::unique(behind.begin(), behind.end(),
                           [](const auto& a, const auto& b) { return a.first == b.first; }),
               behind.end());
  std::vector<std::uint32_t> up_to, from;  // joints: the transactions behind[0..i], behind[i..]
  for (std::size_t each = 0; each < behind.size(); ++each) {
    up_to.push_back(graph_.add_joint());
    from.push_back(graph_.add_joint());
    for (const std::uint32_t joint : {up_to.back(), from.back()}) {
      graph_.add(joint, behind[each].first, Dependency::joint, Level::plain, key, version,
                 behind[each].second);
    }
    if (each == 0) continue;
    graph_.add(up_to[each], up_to[each - 1], Dependency::joint);
    graph_.add(from[each - 1], from[each], Dependency::joint);
  }
  for (const std::uint32_t each : before) {
    const auto self = std::lower_bound(behind.begin(), behind.end(), std::pair(each, std::uint32_t{0}));
    const auto place = static_cast<std::size_t>(self - behind.begin());
    if (self == behind.end() || self->first != each) {
      if (!from.empty()) graph_.add(each, from.front(), kind, Level::plain, key, version);
      continue;
    }
    if (place > 0) graph_.add(each, up_to[place - 1], kind, Level::plain, key, version);
    if (place + 1 < from.size()) graph_.add(each, from[place + 1], kind, Level::plain, key, version);
  }
}

// ---- lists --------------------------------------------------------------------------------------------------------

void Dependencies::infer_list(std::uint32_t key, std::span<const Read> reads) {
  const std::vector<Element>& order = keys_[key].order;
  // Of each length: the last write up to there that counts, and the first one behind.
  std::vector<std::uint32_t> up_to(order.size() + 1, kNone), behind(order.size() + 1, kNone);
  std::uint32_t aborted = kNone;  // directly below, but for others of its kind
  for (std::size_t at = 0; at < order.size(); ++at) {
    const std::uint32_t write = order[at].write;
    up_to[at + 1] = up_to[at];
    if (write == kNone) continue;
    if (!is_counted(write)) {
      aborted = write;
      continue;
    }
    if (aborted != kNone) {
      report(Anomaly::dirty_update, {writes_[aborted].transaction, writes_[write].transaction},
             name(writes_[write].transaction) + " appended " + value_text(writes_[write].value) + " to key " +
                 key_text(key_names_[key]) + " on top of " + value_text(writes_[aborted].value) + " by " +
                 name(writes_[aborted].transaction) + ", which was aborted");
      aborted = kNone;
    }
    if (up_to[at] != kNone) {
      graph_.add(writes_[up_to[at]].transaction, writes_[write].transaction, Dependency::ww, Level::plain,
                 key, up_to[at], write);
    }
    up_to[at + 1] = write;
  }
  for (std::size_t at = order.size(); at-- > 0;) {
    const std::uint32_t write = order[at].write;
    behind[at] = write != kNone && is_counted(write) ? write : behind[at + 1];
  }
  std::vector<std::uint32_t> unseen, readers;  // appends that nobody read; readers of everything else
  for (std::uint32_t write = keys_[key].writes_begin; write < keys_[key].writes_end; ++write) {
    if (writes_[write].position == kNone && is_counted(write)) unseen.push_back(write);
  }
  for (const Read& read : reads) {
    const std::uint32_t last = read.in_order ? up_to[read.length] : read.write;
    if (last != kNone && is_counted(last)) {
      graph_.add(writes_[last].transaction, read.transaction, Dependency::wr, Level::plain, key, last, last);
    }
    if (!read.in_order) continue;
    const std::uint32_t next = behind[read.length];
    if (next == kNone) {
      readers.push_back(read.transaction);
    } else {
      graph_.add(read.transaction, writes_[next].transaction, Dependency::rw, Level::plain, key, read.write,
                 next);
    }
  }
  precede_all(readers, unseen, key, up_to.back(), Dependency::rw);
  if (up_to.back() == kNone) return;
  const std::uint32_t last = writes_[up_to.back()].transaction;
  precede_all(std::span(&last, 1), unseen, key, up_to.back(), Dependency::ww);
}

void Dependencies::check_intermediate(const Read& read) {
  if (read.write == kNone || writes_[read.write].last) return;
  const Write& write = writes_[read.write];
  if (write.transaction == read.transaction) return;
  report(Anomaly::g1b, {read.transaction, write.transaction},
         name(read.transaction) + " read key " + key_text(key_names_[read.key]) + " as " +
             name(write.transaction) + " left it at " + value_text(write.value) +
             ", before it wrote there again");
}

// Two that read one version and both wrote: whoever came second did not see the first.
void Dependencies::find_lost_updates() {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> wrote;  // transaction, key
  wrote.reserve(writes_.size());
  for (const Write& write : writes_) wrote.emplace_back(write.transaction, write.key);
  std::sort(wrote.begin(), wrote.end());
  const Read* before = nullptr;
  for (const Read& read : reads_) {
    if (!std::binary_search(wrote.begin(), wrote.end(), std::pair(read.transaction, read.key))) continue;
    // Sorted by key and version; lists that end alike and contradict each other have their own anomaly.
    if (before != nullptr && before->key == read.key && before->write == read.write &&
        before->length == read.length && before->transaction != read.transaction) {
      report(Anomaly::lost_update, {before->transaction, read.transaction},
             name(before->transaction) + " and " + name(read.transaction) + " both read key " +
                 key_text(key_names_[read.key]) + " " + version(read.write) + ", and both wrote to it");
    }
    before = &read;
  }
}

// ---- registers ----------------------------------------------------------------------------------------------------

void Dependencies::infer_register(std::uint32_t key, std::span<const Read> reads) {
  std::vector<std::uint32_t> last_writes, first_readers;
  for (std::uint32_t write = keys_[key].writes_begin; write < keys_[key].writes_end; ++write) {
    if (writes_[write].last && is_counted(write)) last_writes.push_back(write);
  }
  for (const Read& read : reads) {
    if (read.write == kNone) {
      first_readers.push_back(read.transaction);
    } else {
      graph_.add(writes_[read.write].transaction, read.transaction, Dependency::wr, Level::plain, key,
                 read.write, read.write);
    }
  }
  precede_all(first_readers, last_writes, key, kNone, Dependency::rw);
  order_versions(touches_of(key, reads), reads);
}

// By call. A version is named by the last write of its transaction; who read another one is left out.
std::vector<Dependencies::Touch> Dependencies::touches_of(std::uint32_t key,
                                                          std::span<const Read> reads) const {
  std::map<std::uint32_t, Touch> touches;  // by transaction
  for (const Read& read : reads) {
    if (read.write != kNone && !writes_[read.write].last) continue;
    touches[read.transaction] = {key, read.transaction, read.write, read.write};
  }
  for (std::uint32_t write = keys_[key].writes_begin; write < keys_[key].writes_end; ++write) {
    if (!writes_[write].last || !is_counted(write)) continue;
    const std::uint32_t by = writes_[write].transaction;
    touches.try_emplace(by, Touch{key, by, write, write}).first->second.last = write;
  }
  std::vector<Touch> sorted;
  sorted.reserve(touches.size());
  for (const auto& [transaction, touch] : touches) sorted.push_back(touch);
  std::sort(sorted.begin(), sorted.end(), [this](const Touch& a, const Touch& b) {
    return std::tie(history_[a.transaction].call, a.transaction) <
           std::tie(history_[b.transaction].call, b.transaction);
  });
  return sorted;
}

void Dependencies::order_versions(std::span<const Touch> touches, std::span<const Read> reads) {
  const Level by_order_of_process =
      options_.versions == VersionOrder::unknown ? Level::process : Level::plain;
  const Level by_real_time = options_.versions == VersionOrder::linearizable ? Level::plain : Level::realtime;
  std::map<std::uint64_t, const Touch*> by_process;  // its last touch that ended
  std::vector<const Touch*> ends;
  for (const Touch& touch : touches) {
    if (is_end(history_[touch.transaction])) ends.push_back(&touch);
    if (touch.first != touch.last && options_.writes_follow_reads) {
      add_version_edge(touch.first, touch.last, Level::plain, reads);
    }
    const Touch*& before = by_process[history_[touch.transaction].process];
    if (before != nullptr && history_[before->transaction].returned < history_[touch.transaction].call) {
      add_version_edge(before->last, touch.first, by_order_of_process, reads);
    }
    if (is_end(history_[touch.transaction])) before = &touch;
  }
  std::sort(ends.begin(), ends.end(), [this](const Touch* a, const Touch* b) {
    return std::tie(history_[a->transaction].returned, a->transaction) <
           std::tie(history_[b->transaction].returned, b->transaction);
  });
  // Real time, reduced: those that ended and precede nobody who has ended since.
  std::vector<const Touch*> open;
  auto end = ends.begin();
  for (const Touch& touch : touches) {
    const std::uint64_t call = history_[touch.transaction].call;
    for (; end != ends.end() && history_[(*end)->transaction].returned < call; ++end) {
      const std::uint64_t began = history_[(*end)->transaction].call;
      std::erase_if(open, [&](const Touch* each) { return history_[each->transaction].returned < began; });
      open.push_back(*end);
    }
    for (const Touch* before : open) add_version_edge(before->last, touch.first, by_real_time, reads);
  }
}

// One version was overwritten by the other, perhaps with some between them.
void Dependencies::add_version_edge(std::uint32_t before, std::uint32_t after, Level level,
                                    std::span<const Read> reads) {
  // Everything stands behind the initial version anyway, and nothing stands before it.
  if (before == after || before == kNone || after == kNone) return;
  const std::uint32_t key = writes_[before].key;
  const std::uint32_t next = writes_[after].transaction;
  graph_.add(writes_[before].transaction, next, Dependency::ww, level, key, before, after);
  const auto readers = std::equal_range(reads.begin(), reads.end(), Read{0, key, before, 0, true},
                                        [](const Read& a, const Read& b) { return a.write < b.write; });
  for (auto read = readers.first; read != readers.second; ++read) {
    graph_.add(read->transaction, next, Dependency::rw, level, key, before, after);
  }
}

// ---- words --------------------------------------------------------------------------------------------------------

std::string Dependencies::placed_name(std::uint32_t transaction) const {
  return name(transaction) + " (called at " + time_text(history_[transaction].call) + ")";
}
std::string Dependencies::key_text(std::uint64_t name) const {
  return options_.names.key ? options_.names.key(name) : text_of(name);
}
std::string Dependencies::value_text(std::uint64_t value) const {
  return options_.names.value ? options_.names.value(value) : text_of(value);
}
std::string Dependencies::time_text(std::uint64_t time) const {
  return options_.names.time ? options_.names.time(time) : text_of(time);
}

// The last few elements: where a list ends is what matters.
std::string Dependencies::list_text(std::span<const std::uint64_t> list) const {
  constexpr std::size_t kShown = 4;
  std::string text = list.size() > kShown ? "[..." : "[";
  for (const std::uint64_t value : list.last(std::min(kShown, list.size()))) {
    if (text.size() > 1) text += ' ';
    text += value_text(value);
  }
  return text + "]";
}

std::string Dependencies::version(std::uint32_t write) const {
  return write == kNone ? "as it was at first" : "up to " + value_text(writes_[write].value);
}

std::string Dependencies::explain(const CycleStep& step) const {
  const std::string from = name(step.from);
  const std::string to = name(step.edge.to);
  const std::string key = step.edge.key == kNone ? "" : key_text(key_names_[step.edge.key]);
  const auto value = [this](std::uint32_t write) { return value_text(writes_[write].value); };
  std::string text = from + " before " + to + ": ";
  switch (step.edge.kind) {
    case Dependency::ww:
      text += from + " wrote " + value(step.edge.before) + " to key " + key + " before " + to + " wrote " +
              value(step.edge.after);
      break;
    case Dependency::wr:
      text += from + " wrote " + value(step.edge.before) + " to key " + key + ", and " + to + " read it";
      break;
    case Dependency::rw:
      text += from + " read key " + key + " " + version(step.edge.before) + " and not what " + to +
              " wrote, " + value(step.edge.after);
      break;
    case Dependency::process:
      return text + "process " + text_of(history_[step.from].process) + " ended it first";
    case Dependency::realtime:
    case Dependency::joint:
      return text + "it returned at " + time_text(history_[step.from].returned) + ", before the call at " +
             time_text(history_[step.edge.to].call);
  }
  if (step.edge.level == Level::process) text += " (by the order of a process)";
  if (step.edge.level == Level::realtime) text += " (by real time)";
  return text;
}

std::string Dependencies::describe(std::uint32_t transaction) const {
  const ClientTransaction& it = history_[transaction];
  std::string text = name(transaction) + " (process " + text_of(it.process) + ", from " + time_text(it.call);
  switch (it.fate) {
    case Fate::committed: text += " to " + time_text(it.returned) + ")"; break;
    case Fate::aborted: text += ", aborted)"; break;
    case Fate::unknown: text += ", outcome unknown)"; break;
  }
  const char* divider = ": ";
  const std::size_t shown = std::min(it.accesses.size(), kAccessesShown);
  for (const Access& access : std::span(it.accesses).first(shown)) {
    text += divider;
    if (access.verb == Verb::write) {
      text += "wrote " + value_text(access.value) + " to key " + key_text(access.key);
    } else {
      text += "read key " + key_text(access.key) +
              (access.known ? " as " + list_text(access.seen) : ", nobody knows what");
    }
    divider = ", ";
  }
  if (shown < it.accesses.size()) text += " and " + text_of(it.accesses.size() - shown) + " more";
  return text;
}

}  // namespace reel::model
