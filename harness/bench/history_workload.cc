#include "harness/bench/history_workload.h"

#include <fmt/format.h>

#include <iterator>
#include <vector>

#include "io/ports/assert.h"
#include "io/ports/checksum.h"

namespace reel::harness {
namespace {

constexpr std::uint32_t kListLengthMax = 32;
constexpr std::uint64_t kRegisterValues = 5;

class HistoryWriter {
 public:
  HistoryWriter(const HistoryWorkload& workload, std::uint64_t seed)
      : workload_(workload),
        seed_(seed),
        clients_(workload.clients),
        values_(workload.keys),
        strings_(workload.keys),
        current_(workload.keys) {
    for (std::uint32_t key = 0; key < workload.keys; ++key) begin_list(key);
    for (Client& client : clients_) client.process = next_process_++;
  }

  std::string write() {
    std::uint64_t under_way = 0;
    while (invoked_ < workload_.operations || under_way > 0) {
      Client& client = clients_[below(clients_.size())];
      if (client.state == State::idle) {
        if (invoked_ == workload_.operations) continue;
        invoke(client);
        ++under_way;
      } else if (client.crashes && (client.state == State::done || below(2) == 0)) {
        client = {};
        client.process = next_process_++;
        --under_way;
      } else if (client.state == State::called) {
        perform(client);
        client.state = State::done;
      } else {
        end(client);
        --under_way;
      }
    }
    return std::move(text_);
  }

 private:
  enum class State : std::uint8_t { idle, called, done };
  struct Access {
    bool append = false;
    std::uint64_t list = 0;
    std::uint64_t value = 0;
    std::vector<std::uint64_t> seen;
  };
  struct Client {
    std::uint64_t process = 0;
    State state = State::idle;
    bool crashes = false;
    bool lies = false;
    std::uint32_t kind = 0;
    std::uint32_t key = 0;
    std::uint64_t from = 0, to = 0;
    bool succeeded = true;
    std::string text;  // kv: what is appended or put, or was got
    std::vector<Access> accesses;
  };
  std::uint64_t below(std::uint64_t bound) { return io::keyed_hash(seed_, {++draws_}) % bound; }
  template <class... Parts>
  void print(fmt::format_string<Parts...> format, Parts&&... parts) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Parts>(parts)...);
  }

  void begin_list(std::uint32_t key) {
    current_[key] = lists_.size();
    lists_.emplace_back();
  }
  void invoke(Client& client);
  void choose_accesses(Client& client);
  void perform(Client& client);
  void perform_register(Client& client);
  void perform_accesses(Client& client);
  void end(Client& client);
  void print_event(const Client& client, const char* type, bool ended);
  void print_accesses(const Client& client, bool ended);

  const HistoryWorkload& workload_;
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  std::vector<Client> clients_;
  std::vector<std::uint64_t> values_;   // registers, by key; 0 at first
  std::vector<std::string> strings_;    // kv
  std::vector<std::uint64_t> current_;  // the list that is appended to, by key
  std::vector<std::vector<std::uint64_t>> lists_;
  std::uint64_t next_process_ = 0;
  std::uint64_t next_value_ = 0;
  std::uint64_t invoked_ = 0;
  bool lied_ = false;
  std::string text_;
};

void HistoryWriter::invoke(Client& client) {
  client.state = State::called;
  client.succeeded = true;
  const std::uint64_t every = workload_.crashes == 0 ? 0 : workload_.operations / workload_.crashes;
  client.crashes = every != 0 && invoked_ % every == every / 2;
  client.lies = workload_.wrong && !lied_ && invoked_ + 20 >= workload_.operations;
  // Lists may be too short to lie about.
  if (client.lies && !is_transactional(workload_.model)) lied_ = true;
  if (client.lies) client.crashes = false;
  ++invoked_;
  client.kind = static_cast<std::uint32_t>(below(3));
  // Contents stay as small as those of a store that is in use.
  if (workload_.model == CheckModel::kv && client.kind == 1 && below(4) != 0) client.kind = 2;
  client.key = static_cast<std::uint32_t>(below(workload_.keys));
  if (client.crashes && client.kind == 0) client.kind = 1;  // a read that crashes tells nothing
  if (client.lies) client.kind = 0;
  client.from = below(kRegisterValues);
  client.to = below(kRegisterValues);
  if (workload_.model == CheckModel::kv) client.text = fmt::format("x {} {} y", client.process, invoked_);
  if (is_transactional(workload_.model)) choose_accesses(client);
  print_event(client, "invoke", false);
}

void HistoryWriter::choose_accesses(Client& client) {
  client.accesses.clear();
  for (std::uint64_t count = 1 + below(4); count > 0; --count) {
    Access access;
    access.append = below(2) == 0 && !client.lies;
    access.list = current_[below(workload_.keys)];
    if (access.append) access.value = ++next_value_;
    client.accesses.push_back(std::move(access));
  }
}

void HistoryWriter::perform(Client& client) {
  if (is_transactional(workload_.model)) return perform_accesses(client);
  if (workload_.model != CheckModel::kv) return perform_register(client);
  std::string& content = strings_[client.key];
  switch (client.kind) {
    case 0: client.text = client.lies ? "nobody wrote this" : content; break;
    case 1: content = client.text; break;
    default: content += client.text; break;
  }
}

void HistoryWriter::perform_register(Client& client) {
  std::uint64_t& value = values_[client.key];
  switch (client.kind) {
    case 0: client.to = client.lies ? kRegisterValues + 1 : value; break;
    case 1: value = client.to; break;
    default:
      client.succeeded = value == client.from;
      if (client.succeeded) value = client.to;
      break;
  }
}

void HistoryWriter::perform_accesses(Client& client) {
  for (Access& access : client.accesses) {
    std::vector<std::uint64_t>& list = lists_[access.list];
    if (access.append) {
      list.push_back(access.value);
    } else {
      access.seen = list;
      if (client.lies && !lied_ && access.seen.size() > 1) {
        access.seen.erase(access.seen.begin());
        lied_ = true;
      }
    }
  }
  for (std::uint32_t key = 0; key < workload_.keys; ++key) {
    if (lists_[current_[key]].size() >= kListLengthMax) begin_list(key);
  }
}

void HistoryWriter::end(Client& client) {
  print_event(client, client.succeeded ? "ok" : "fail", true);
  client.state = State::idle;
}

void HistoryWriter::print_event(const Client& client, const char* type, bool ended) {
  print("{{\"process\":{},\"type\":\"{}\",", client.process, type);
  switch (workload_.model) {
    case CheckModel::list_append:
    case CheckModel::rw_register: print_accesses(client, ended); break;
    case CheckModel::kv: {
      constexpr const char* kVerbs[] = {"get", "put", "append"};
      print("\"f\":\"{}\",\"key\":{}", kVerbs[client.kind], client.key);
      if (client.kind != 0 || ended) print(",\"value\":\"{}\"", client.text);
      break;
    }
    default: {
      constexpr const char* kVerbs[] = {"read", "write", "cas"};
      print("\"f\":\"{}\",\"key\":{}", kVerbs[client.kind], client.key);
      if (client.kind == 2) {
        print(",\"value\":[{},{}]", client.from, client.to);
      } else if (client.kind == 1 || ended) {
        print(",\"value\":{}", client.to);
      }
      break;
    }
  }
  text_ += "}\n";
}

void HistoryWriter::print_accesses(const Client& client, bool ended) {
  text_ += "\"f\":\"txn\",\"value\":[";
  const char* divider = "";
  for (const Access& access : client.accesses) {
    text_ += std::exchange(divider, ",");
    if (access.append) {
      print("[\"append\",{},{}]", access.list, access.value);
    } else if (!ended) {
      print("[\"r\",{},null]", access.list);
    } else {
      print("[\"r\",{},[{}]]", access.list, fmt::join(access.seen, ","));
    }
  }
  text_ += ']';
}

}  // namespace

std::string write_history(const HistoryWorkload& workload, std::uint64_t seed) {
  REEL_CHECK(workload.clients > 0 && workload.keys > 0 && workload.model != CheckModel::log);
  REEL_CHECK(workload.model != CheckModel::rw_register);  // its values would have to be read one at a time
  return HistoryWriter(workload, seed).write();
}

}  // namespace reel::harness
