#include "model/bank_oracle.h"

#include <gtest/gtest.h>

namespace reel::model {
namespace {

using Verb = BankOperation::Verb;

std::string oracle_of(const BankOracle::Finding& finding) { return finding ? finding->oracle : ""; }

// Commits operations one after the other, each of a submit of its own.
class Bank {
 public:
  std::string commit(Verb verb, std::uint32_t account, std::uint64_t amount = 0, std::uint32_t to = 0) {
    ++number_;
    return commit_as(number_, verb, account, amount, to);
  }
  std::string commit_as(std::uint64_t number, Verb verb, std::uint32_t account, std::uint64_t amount = 0,
                        std::uint32_t to = 0) {
    const TxnId id = next_;
    ++next_;
    return oracle_of(oracle.committed(id, {verb, account, to, amount, {1, 1, number}, 1}));
  }
  BankOracle oracle;

 private:
  TxnId next_;
  std::uint64_t number_ = 0;
};

// Money could be made out of nothing, or an honest day convicted.
TEST(BankOracle, AnHonestDayPasses) {
  Bank bank;
  EXPECT_EQ(bank.commit(Verb::open, 1), "");
  EXPECT_EQ(bank.commit(Verb::open, 2), "");
  EXPECT_EQ(bank.commit(Verb::deposit, 1, 100), "");
  EXPECT_EQ(bank.commit(Verb::transfer, 1, 60, 2), "");
  EXPECT_EQ(bank.commit(Verb::close, 1, 40), "");
  EXPECT_EQ(bank.commit(Verb::open, 1), "");
  EXPECT_EQ(oracle_of(bank.oracle.finish()), "");
}

// Each of the bank's rules could be broken without a word.
TEST(BankOracle, ConvictsWhatTheBankForbids) {
  Bank bank;
  EXPECT_EQ(bank.commit(Verb::deposit, 1, 5), "bank-rule");
  EXPECT_EQ(bank.commit(Verb::open, 1), "");
  EXPECT_EQ(bank.commit(Verb::open, 1), "bank-rule");
  EXPECT_EQ(bank.commit(Verb::transfer, 1, 0, 2), "bank-rule") << "account 2 is not open";
  EXPECT_EQ(bank.commit(Verb::open, 2), "");
  EXPECT_EQ(bank.commit(Verb::deposit, 1, 5), "");
  EXPECT_EQ(bank.commit(Verb::transfer, 1, 6, 2), "bank-rule");
  EXPECT_EQ(bank.commit(Verb::close, 1, 4), "bank-rule");
}

// A submit that commits twice could look like two.
TEST(BankOracle, ConvictsASubmitThatCommitsTwice) {
  Bank bank;
  EXPECT_EQ(bank.commit_as(7, Verb::open, 1), "");
  EXPECT_EQ(bank.commit_as(7, Verb::open, 2), "bank-twice");
}

// Outcomes come before or after the transaction is seen: a lie could slip through in either order.
TEST(BankOracle, ConvictsOutcomesThatAreNotTrue) {
  Bank bank;
  const auto request = [](std::uint64_t number) { return BankRequest{1, 1, number}; };
  EXPECT_EQ(oracle_of(bank.oracle.told(request(1), BankOutcome::committed, TxnId(0), 1)), "");
  EXPECT_EQ(bank.commit_as(1, Verb::open, 1), "");
  EXPECT_EQ(oracle_of(bank.oracle.told(request(1), BankOutcome::committed, TxnId(0), 1)), "bank-outcome")
      << "twice";
  EXPECT_EQ(oracle_of(bank.oracle.told(request(2), BankOutcome::never, {}, 1)), "");
  EXPECT_EQ(bank.commit_as(2, Verb::open, 2), "bank-outcome");
  EXPECT_EQ(bank.commit_as(3, Verb::open, 3), "");
  EXPECT_EQ(oracle_of(bank.oracle.told(request(3), BankOutcome::committed, TxnId(2), 2)), "bank-outcome")
      << "what was executed last is not what committed";
  EXPECT_EQ(oracle_of(bank.oracle.told(request(4), BankOutcome::committed, TxnId(1), 1)), "bank-outcome");
  EXPECT_EQ(oracle_of(bank.oracle.finish()), "bank-outcome");
}

}  // namespace
}  // namespace reel::model
