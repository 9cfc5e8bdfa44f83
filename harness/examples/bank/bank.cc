// A small bank whose books are a view of one partition of Reel. Any number of instances work at the same accounts, each on
// its own view; locks see to it that an operation commits only if what it was decided on is still so.
//
//   bank teller --connect ADDRESS,… --token-file FILE --name NAME --operations N [--accounts N] [--seed N]
//   bank audit  --connect ADDRESS,… --token-file FILE
//
// Operations, as they stand in the log:      their locks:
//   open ACCOUNT                             write existence
//   deposit ACCOUNT AMOUNT                   read existence, append balance: deposits do not hinder each other
//   withdraw ACCOUNT AMOUNT                  read existence, write balance
//   transfer ACCOUNT TO AMOUNT               read both existences, write both balances
//   close ACCOUNT AMOUNT (paid out)          write existence, write balance
// each followed by #REFERENCE, by which a test recognises it.
//
// A teller does random operations and prints what became of each, one line at a time:
//   committed ID REFERENCE | never REFERENCE | unknown REFERENCE
// At the end both print the books as one line of JSON. Exit status 1, and a sentence, if they do not balance.
#include <reel/client.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

using Applied = std::expected<void, std::string>;

[[noreturn]] void end_with(const std::string& text) {
  std::fprintf(stderr, "bank: %s\n", text.c_str());
  std::exit(1);
}

// ---- operations

struct Operation {
  std::string verb;
  std::string account;
  std::string to;  // transfer
  std::int64_t amount = 0;
  std::string reference;
};

std::string text_of(const Operation& operation) {
  std::string text = operation.verb + " " + operation.account;
  if (operation.verb == "transfer") text += " " + operation.to;
  if (operation.verb != "open") text += " " + std::to_string(operation.amount);
  return text + " #" + operation.reference;
}

Operation parse(std::string_view text) {
  std::istringstream words{std::string(text)};
  Operation operation;
  words >> operation.verb >> operation.account;
  if (operation.verb == "transfer") words >> operation.to;
  if (operation.verb != "open") words >> operation.amount;
  words >> operation.reference;
  return operation;
}

std::string existence_of(const std::string& account) { return "existence/" + account; }
std::string balance_of(const std::string& account) { return "balance/" + account; }

reel::Draft draft_of(const Operation& operation) {
  reel::Draft draft;
  draft.data = text_of(operation);
  const std::string existence = existence_of(operation.account);
  const std::string balance = balance_of(operation.account);
  if (operation.verb == "open") {
    draft.write_locks = {existence};
  } else if (operation.verb == "deposit") {
    draft.read_locks = {existence};
    draft.append_locks = {balance};
  } else if (operation.verb == "withdraw") {
    draft.read_locks = {existence};
    draft.write_locks = {balance};
  } else if (operation.verb == "transfer") {
    draft.read_locks = {existence, existence_of(operation.to)};
    draft.write_locks = {balance, balance_of(operation.to)};
  } else {
    draft.write_locks = {existence, balance};
  }
  return draft;
}

// ---- the books: a view

class Books {
 public:
  // What cannot be so is an error, and stops the view: then some lock is missing.
  Applied apply(const reel::CommittedTransaction& transaction) {
    const Operation operation = parse(transaction.data);
    const auto wrong = [&](const char* why) {
      return std::unexpected("transaction " + std::to_string(transaction.id) + " is '" +
                             std::string(transaction.data) + "', but " + why);
    };
    const auto found = accounts_.find(operation.account);
    if (operation.verb == "open") {
      if (found != accounts_.end()) return wrong("the account is open");
      accounts_[operation.account] = 0;
    } else if (found == accounts_.end()) {
      return wrong("the account is not open");
    } else if (operation.verb == "deposit") {
      found->second += operation.amount;
      came_in_ += operation.amount;
    } else if (operation.verb == "withdraw") {
      if (found->second < operation.amount) return wrong("there is not so much");
      found->second -= operation.amount;
      went_out_ += operation.amount;
    } else if (operation.verb == "transfer") {
      const auto to = accounts_.find(operation.to);
      if (to == accounts_.end()) return wrong("the other account is not open");
      if (found->second < operation.amount) return wrong("there is not so much");
      found->second -= operation.amount;
      to->second += operation.amount;
    } else if (operation.verb == "close") {
      if (found->second != operation.amount) return wrong("there is another sum");
      went_out_ += operation.amount;
      accounts_.erase(found);
    } else {
      return wrong("the bank knows no such operation");
    }
    next_ = transaction.id + 1;
    for (const unsigned char byte : transaction.data) history_ = (history_ ^ byte) * 0x100000001b3;
    return {};
  }

  // What may be done, as far as these books know; the amount is what is there, or less.
  bool allows(Operation& operation) const {
    const auto found = accounts_.find(operation.account);
    if (operation.verb == "open") return found == accounts_.end();
    if (found == accounts_.end()) return false;
    if (operation.verb == "deposit") return true;
    if (operation.verb == "close") operation.amount = found->second;
    if (operation.verb == "transfer" && !accounts_.contains(operation.to)) return false;
    operation.amount = std::min(operation.amount, found->second);
    return operation.amount > 0 || operation.verb == "close";
  }

  bool has(const std::string& account) const { return accounts_.contains(account); }

  // As one line of JSON; `history` is FNV-1a over the data of all transactions.
  std::string report() const {
    std::ostringstream out;
    out << "{\"next\":" << next_ << ",\"history\":\"" << std::hex << history_ << std::dec
        << "\",\"came_in\":" << came_in_ << ",\"went_out\":" << went_out_ << ",\"accounts\":{";
    const char* comma = "";
    for (const auto& [account, balance] : accounts_) {
      out << std::exchange(comma, ",") << "\"" << account << "\":" << balance;
    }
    out << "}}";
    return out.str();
  }

  bool balance() const {
    std::int64_t held = 0;
    for (const auto& [account, balance] : accounts_) held += balance;
    return held == came_in_ - went_out_;
  }

 private:
  std::map<std::string, std::int64_t> accounts_;
  std::int64_t came_in_ = 0;
  std::int64_t went_out_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t history_ = 0xcbf29ce484222325;
};

// ---- a teller

class Teller {
 public:
  // Books belong to the client's thread; what a teller wants is drawn here, and decided there.
  Teller(reel::Client& client, const Books& books, std::string name, std::uint64_t seed,
         std::uint32_t accounts)
      : client_(client), books_(books), name_(std::move(name)), random_(seed), accounts_(accounts) {}

  void work(std::uint64_t operations) {
    for (std::uint64_t number = 1; number <= operations; ++number) {
      if (pending_.size() >= kOutstanding) end_one();
      begin(number);
    }
    while (!pending_.empty()) end_one();
  }

 private:
  static constexpr std::size_t kOutstanding = 8;

  void begin(std::uint64_t number) {
    static const char* const kVerbs[] = {"open",     "deposit",  "deposit",  "deposit", "withdraw",
                                         "transfer", "transfer", "transfer", "close"};
    Operation operation;
    operation.verb = kVerbs[random_() % std::size(kVerbs)];
    operation.account = "account" + std::to_string(random_() % accounts_);
    operation.to = "account" + std::to_string(random_() % accounts_);
    if (operation.to == operation.account) operation.to = "account" + std::to_string(accounts_);
    operation.amount = 1 + static_cast<std::int64_t>(random_() % 100);
    operation.reference = name_ + "." + std::to_string(number);
    reel::Transaction transaction;
    transaction.partition = 0;
    transaction.timeout = std::chrono::seconds(20);
    transaction.execute = [this, operation](const reel::Attempt&) mutable -> std::optional<reel::Draft> {
      // A closed account is opened rather than left alone, so that there is something to do.
      Operation wanted = operation;
      if (wanted.verb != "open" && !books_.has(wanted.account)) wanted.verb = "open";
      if (!books_.allows(wanted)) return std::nullopt;
      return draft_of(wanted);
    };
    pending_.emplace_back(operation.reference, client_.submit(std::move(transaction)));
  }

  void end_one() {
    const auto [reference, pending] = std::move(pending_.front());
    pending_.pop_front();
    const reel::Outcome outcome = pending.wait();
    std::string line = "never " + reference;
    if (outcome.committed()) line = "committed " + std::to_string(outcome.id) + " " + reference;
    if (outcome.kind == reel::Outcome::Kind::unknown) line = "unknown " + reference;
    // At once, in one piece: whoever reads may outlive this program.
    line += "\n";
    if (write(STDOUT_FILENO, line.data(), line.size()) < 0) std::exit(1);
  }

  reel::Client& client_;
  const Books& books_;
  std::string name_;
  std::mt19937_64 random_;
  std::uint32_t accounts_;
  std::deque<std::pair<std::string, reel::Pending>> pending_;
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    parts.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return parts;
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> flags{{"--accounts", "4"}, {"--seed", "1"}, {"--name", "teller"}};
  const std::string role = argc > 1 ? argv[1] : "";
  for (int i = 2; i + 1 < argc; i += 2) flags[argv[i]] = argv[i + 1];
  const bool known = role == "teller" ? flags.contains("--operations") : role == "audit";
  if (!known || argc % 2 != 0 || !flags.contains("--connect") || !flags.contains("--token-file")) {
    end_with("see the top of bank.cc for how to use it");
  }
  reel::ConnectOptions options;
  options.addresses = split(flags["--connect"]);
  options.token_file = flags["--token-file"];
  const auto client = reel::Client::connect(options);
  if (!client) end_with(client.error().text);

  Books books;
  reel::Mount mount;
  mount.apply = [&books](const reel::CommittedTransaction& transaction) { return books.apply(transaction); };
  mount.apply_attempts_max = 1;
  mount.on_stopped = [](const reel::ViewState& state) { end_with(state.why); };
  if (const auto mounted = (*client)->mount(0, mount); !mounted) end_with(mounted.error().text);
  if (!(*client)->catch_up(0, std::chrono::seconds(60)))
    end_with("the books could not be brought up to date");

  if (role == "teller") {
    Teller teller(**client, books, flags["--name"], std::stoull(flags["--seed"]),
                  static_cast<std::uint32_t>(std::stoul(flags["--accounts"])));
    teller.work(std::stoull(flags["--operations"]));
    if (!(*client)->catch_up(0, std::chrono::seconds(60)))
      end_with("the books could not be brought up to date");
  }
  (*client)->close(std::chrono::seconds(5));
  std::printf("%s\n", books.report().c_str());
  if (!books.balance()) end_with("money was made or lost");
}
