// The bank oracle: a bank whose accounts are a view of one partition's log, judged by what commits and by what its
// clients' submits ended in. It keeps the books itself, in the order of the log, and knows nothing of locks: each client
// checked the rules against the view that it had, and only the locks make that view the right one.
//
// Names of what can be violated (stable):
//   bank-rule     an operation commits that the bank forbids at that point: on an account that is not open, for more than
//                 is there, or a closing that pays out another sum than the balance
//   bank-twice    one submit stands in the log twice
//   bank-outcome  a submit's outcome is not true: committed and not there, or not with what was executed last; said never
//                 to commit and there; or told twice
//   bank-total    what the accounts hold is not what came in and did not go out
//
// Cost: O(log submits) an operation. Memory: about 150 bytes a submit.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/violation.h"
#include "node/types.h"

namespace reel::model {

// One submit, of one life of one client.
struct BankRequest {
  std::uint64_t client = 0;
  std::uint64_t life = 0;
  std::uint64_t number = 0;
  auto operator<=>(const BankRequest&) const = default;
};

struct BankOperation {
  enum class Verb : std::uint8_t { open = 1, deposit, transfer, close };
  Verb verb{};
  std::uint32_t account = 0;
  std::uint32_t to = 0;      // transfer
  std::uint64_t amount = 0;  // close: what is paid out
  BankRequest request;
  std::uint64_t attempt = 0;  // the execution that made it
};

enum class BankOutcome : std::uint8_t { committed, never, unknown };

class BankOracle {
 public:
  using Finding = std::optional<Violation>;

  // Ids come as 0, 1, 2, …; what was told before (by another node) changes nothing.
  [[nodiscard]] Finding committed(TxnId id, const BankOperation& operation);
  // What a client was told of its submit, and which execution was its last. `id`: committed.
  [[nodiscard]] Finding told(const BankRequest& request, BankOutcome outcome, TxnId id,
                             std::uint64_t attempt);
  // At the end: what was told is there.
  [[nodiscard]] Finding finish() const;

 private:
  struct Account {
    bool open = false;
    std::uint64_t balance = 0;
  };
  struct Committed {
    TxnId id;
    std::uint64_t attempt = 0;
  };
  struct Told {
    BankOutcome outcome{};
    TxnId id;
    std::uint64_t attempt = 0;
  };
  Finding book(TxnId id, const BankOperation& operation);
  Finding judge(const BankRequest& request, const Told& told, const Committed& committed) const;

  TxnId next_;
  std::map<std::uint32_t, Account> accounts_;
  std::map<BankRequest, Committed> committed_;
  std::map<BankRequest, Told> told_;
  std::uint64_t came_in_ = 0;
  std::uint64_t went_out_ = 0;
};

}  // namespace reel::model
