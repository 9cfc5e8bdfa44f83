#include <fmt/core.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "harness/bench/figures.h"
#include "harness/command/command.h"
#include "harness/history/events.h"
#include "harness/history/judge.h"
#include "harness/history/object_history.h"
#include "harness/history/transaction_history.h"

namespace reel::harness {
namespace {

using Json = nlohmann::ordered_json;
using model::Verdict;

// What is listed on a terminal; --json has everything.
constexpr std::size_t kCoreShown = 20;
constexpr std::streamsize kReadBytes = 1 << 20;

const char* word_of(Verdict verdict) {
  switch (verdict) {
    case Verdict::ok: return "ok";
    case Verdict::illegal: return "illegal";
    case Verdict::unknown: return "unknown";
  }
  return "";
}

struct CheckCommand {
  std::string path;
  std::string model;
  std::string format = "auto";
  std::string initial;
  std::string nil;
  std::string failed_cas;
  std::string unknown;
  std::string keys = "field";
  std::string partition;
  std::string isolation;
  std::string version_order;
  bool no_writes_follow_reads = false;
  std::uint64_t budget = 20'000'000;
  std::uint64_t jobs = 0;
  bool no_core = false;
  bool json = false;

  Exit run() const;

 private:
  std::string read_text() const;
  HistoryFormat format_of(const std::string& text) const;
  HistoryRules rules_for(HistoryFormat of) const;
  void check_flags(CheckModel of) const;
  JudgeOptions judge_options() const;
  model::Isolation wanted() const;
  Exit check_objects(const std::string& text, HistoryFormat of, const HistoryRules& rules) const;
  Exit check_transactions(const std::string& text, HistoryFormat of, const HistoryRules& rules) const;
  EventCount read(const std::string& text, HistoryFormat of, const EventSink& sink) const;
  Json json_head(HistoryFormat of, const HistoryRules& rules, Verdict verdict, std::size_t operations) const;
};

// The value of a flag, one of these words; the first if it was not given.
template <class Value>
Value one_of(const std::string& flag, const std::string& given, Value otherwise,
             std::initializer_list<std::pair<const char*, Value>> words) {
  if (given.empty()) return otherwise;
  std::string all;
  for (const auto& [word, value] : words) {
    if (given == word) return value;
    all += (all.empty() ? "" : ", ") + std::string(word);
  }
  misuse(flag + " is one of " + all + ", and not '" + shown(given) + "'");
}

std::string CheckCommand::read_text() const {
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  std::string text;
  for (std::size_t size = 0; in; text.resize(size)) {
    text.resize(size + std::size_t{kReadBytes});
    in.read(text.data() + size, kReadBytes);
    size += static_cast<std::size_t>(in.gcount());
  }
  if (!in.eof()) misuse("cannot read the history '" + shown(path) + "'");
  return text;
}

HistoryFormat CheckCommand::format_of(const std::string& text) const {
  if (format == "auto") return guess_format(text);
  return one_of<HistoryFormat>("--format", format, {},
                               {{"auto", {}},
                                {"jsonl", HistoryFormat::jsonl},
                                {"edn", HistoryFormat::edn},
                                {"jepsen-log", HistoryFormat::jepsen_log}});
}

void CheckCommand::check_flags(CheckModel of) const {
  const bool reg = of == CheckModel::reg || of == CheckModel::cas_register;
  const struct {
    const char* flag;
    bool given;
    bool fits;
  } flags[] = {
      {"--initial", !initial.empty(), reg || of == CheckModel::kv},
      {"--nil", !nil.empty(), of != CheckModel::log},
      {"--failed-cas", !failed_cas.empty(), of == CheckModel::cas_register},
      {"--partition", !partition.empty(), of == CheckModel::kv},
      {"--keys", keys != "field", !is_transactional(of)},
      {"--isolation", !isolation.empty(), is_transactional(of)},
      {"--version-order", !version_order.empty(), of == CheckModel::rw_register},
      {"--no-writes-follow-reads", no_writes_follow_reads, of == CheckModel::rw_register},
  };
  for (const auto& [flag, given, fits] : flags) {
    if (given && !fits) misuse(std::string(flag) + " means nothing to the model " + name_of(of));
  }
}

HistoryRules CheckCommand::rules_for(HistoryFormat of) const {
  const std::optional<CheckModel> known = check_model_of(model);
  if (!known)
    misuse("--model is one of register, cas-register, kv, log, list-append and rw-register, and not '" +
           shown(model) + "'");
  check_flags(*known);
  HistoryRules rules;
  rules.model = *known;
  rules.initial = initial;
  // Files in EDN come from Knossos' and Jepsen's world, where these words say less.
  const bool reg = *known == CheckModel::reg || *known == CheckModel::cas_register;
  const bool jepsen = of == HistoryFormat::edn && reg;
  rules.nil = one_of("--nil", nil, jepsen ? NilRead::any : NilRead::absent,
                     {{"absent", NilRead::absent}, {"any", NilRead::any}});
  rules.failed_cas = one_of("--failed-cas", failed_cas, jepsen ? FailedCas::ignored : FailedCas::evidence,
                            {{"evidence", FailedCas::evidence}, {"ignored", FailedCas::ignored}});
  rules.unknown = one_of("--unknown", unknown, UnknownOutcome::maybe,
                         {{"maybe", UnknownOutcome::maybe}, {"never", UnknownOutcome::never}});
  rules.key_in_value = one_of("--keys", keys, false, {{"field", false}, {"value", true}});
  if (auto problem = ObjectHistory::problem_with(rules)) misuse(*problem);
  return rules;
}

JudgeOptions CheckCommand::judge_options() const {
  if (budget == 0 || budget > UINT32_MAX) misuse("--budget must be from 1 to 4294967295");
  if (jobs > 1024) misuse("--jobs must be from 0 to 1024");
  JudgeOptions options;
  options.steps_max = budget;
  options.threads =
      jobs != 0 ? static_cast<unsigned>(jobs) : std::max(1u, std::thread::hardware_concurrency());
  options.by_key = one_of("--partition", partition, true, {{"key", true}, {"none", false}});
  options.core = !no_core;
  return options;
}

model::Isolation CheckCommand::wanted() const {
  if (isolation.empty()) return model::Isolation::strict_serializable;
  std::string all;
  for (std::size_t each = 0; each < model::kIsolations; ++each) {
    const auto level = static_cast<model::Isolation>(each);
    if (isolation == model::name_of(level)) return level;
    all += (all.empty() ? "" : ", ") + std::string(model::name_of(level));
  }
  misuse("--isolation is one of " + all);
}

EventCount CheckCommand::read(const std::string& text, HistoryFormat of, const EventSink& sink) const {
  show("reading " + path);
  const auto count = read_events(text, of, sink);
  show_done();
  if (!count) misuse(path + ":" + std::to_string(count.error().line) + ": " + count.error().reason);
  return *count;
}

// ---- what is said

Json rules_of(const HistoryRules& rules) {
  Json json;
  const bool reg = rules.model == CheckModel::reg || rules.model == CheckModel::cas_register;
  if (reg) json["initial"] = rules.initial.empty() ? "nil" : rules.initial;
  if (rules.model == CheckModel::kv) json["initial"] = rules.initial.empty() ? "\"\"" : rules.initial;
  if (rules.model != CheckModel::log) json["nil"] = rules.nil == NilRead::absent ? "absent" : "any";
  if (rules.model == CheckModel::cas_register) {
    json["failed_cas"] = rules.failed_cas == FailedCas::evidence ? "evidence" : "ignored";
  }
  json["unknown"] = rules.unknown == UnknownOutcome::maybe ? "maybe" : "never";
  if (!is_transactional(rules.model)) json["keys"] = rules.key_in_value ? "value" : "field";
  return json;
}

void print_head(HistoryFormat of, const HistoryRules& rules, const EventCount& count,
                std::size_t operations) {
  fmt::print("{} history in {}: {} operations, {} events{}\n", name_of(rules.model), name_of(of), operations,
             count.events, count.skipped == 0 ? "" : fmt::format(", {} skipped", count.skipped));
  std::string words;
  const Json said = rules_of(rules);
  for (const auto& [rule, value] : said.items()) {
    std::string flag = rule;
    std::replace(flag.begin(), flag.end(), '_', '-');
    words += fmt::format(" --{} {}", flag, value.get<std::string>());
  }
  fmt::print("judged by:{}\n", words);
}

Json CheckCommand::json_head(HistoryFormat of, const HistoryRules& rules, Verdict verdict,
                             std::size_t operations) const {
  Json out;
  out["model"] = name_of(rules.model);
  out["verdict"] = word_of(verdict);
  out["operations"] = operations;
  out["first_bad"] = nullptr;
  out["witness"] = nullptr;
  out["anomalies"] = Json::array();
  out["format"] = name_of(of);
  out["rules"] = rules_of(rules);
  return out;
}

Json json_of(const ObjectHistory& history, std::uint32_t operation) {
  const Source& source = history.source(operation);
  Json json;
  json["operation"] = operation;
  json["process"] = history.operations()[operation].process;
  json["invoked_line"] = source.invoked_line;
  json["line"] = source.ended_line == 0 ? Json() : Json(source.ended_line);
  json["text"] = history.describe(history.operations()[operation]);
  return json;
}

void print_core(const ObjectHistory& history, const Judgement& judgement) {
  std::vector<const CoreOperation*> firm;
  for (const CoreOperation& each : judgement.core) {
    if (!each.at_any_time) firm.push_back(&each);
  }
  const std::size_t loose = judgement.core.size() - firm.size();
  fmt::print("These {} operations contradict each other, whatever the others did{}:\n", firm.size(),
             loose == 0 ? "" : fmt::format(", and whenever {} of them took effect, if at all", loose));
  for (std::size_t at = 0; at < std::min(firm.size(), kCoreShown); ++at) {
    fmt::print("  {}: {}\n", history.lines(firm[at]->operation),
               history.describe(history.operations()[firm[at]->operation]));
  }
  if (firm.size() > kCoreShown) fmt::print("  and {} more (--json has all)\n", firm.size() - kCoreShown);
}

Exit CheckCommand::check_objects(const std::string& text, HistoryFormat of, const HistoryRules& rules) const {
  const JudgeOptions options = judge_options();
  ObjectHistory history(rules);
  const EventCount count =
      read(text, of, [&](const Event& event, const Forms& forms) { return history.take(event, forms); });
  history.finish();
  show(fmt::format("judging {} operations", history.size()));
  const Judgement judgement = judge(history, options);
  show_done();
  if (json) {
    Json out = json_head(of, rules, judgement.verdict, history.size());
    if (judgement.first_bad) out["first_bad"] = json_of(history, *judgement.first_bad);
    if (judgement.verdict == Verdict::ok) out["witness"] = judgement.witness;
    out["core"] = Json::array();
    for (const CoreOperation& each : judgement.core) {
      out["core"].push_back(json_of(history, each.operation));
      out["core"].back()["at_any_time"] = each.at_any_time;
    }
    out["reason"] = judgement.verdict == Verdict::unknown ? judgement.why_unknown : judgement.reason;
    out["objects"] = judgement.objects;
    out["steps"] = judgement.steps;
    fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
  } else {
    print_head(of, rules, count, history.size());
    switch (judgement.verdict) {
      case Verdict::ok:
        fmt::print("ok: linearizable; the order that was found holds in a replay ({} steps, {} object{})\n",
                   judgement.steps, judgement.objects, judgement.objects == 1 ? "" : "s");
        break;
      case Verdict::unknown: fmt::print("unknown: {}\n", judgement.why_unknown); break;
      case Verdict::illegal:
        if (judgement.reason.empty()) {
          fmt::print("illegal: nothing explains {}: {}\n", history.lines(*judgement.first_bad),
                     history.describe(history.operations()[*judgement.first_bad]));
          break;
        }
        fmt::print("illegal: {}\n", judgement.reason);
        print_core(history, judgement);
        break;
    }
  }
  return judgement.verdict == Verdict::ok ? Exit::ok : Exit::finding;
}

std::string names_of(const std::vector<model::Isolation>& models) {
  std::string names;
  for (const model::Isolation each : models)
    names += (names.empty() ? "" : ", ") + std::string(model::name_of(each));
  return names;
}
Json json_of(const std::vector<model::Isolation>& models) {
  Json names = Json::array();
  for (const model::Isolation each : models) names.push_back(model::name_of(each));
  return names;
}

// Cycles are timeless; this is the last transaction of the worst anomaly to return.
Json first_bad_of(const TransactionHistory& history, const model::AnomalyReport& worst) {
  const model::ClientTransaction* last = nullptr;
  for (const std::uint32_t each : worst.transactions) {
    const model::ClientTransaction& transaction = history.transactions()[each];
    if (transaction.fate != model::Fate::committed) continue;
    if (last == nullptr || last->returned < transaction.returned) last = &transaction;
  }
  if (last == nullptr) return nullptr;
  Json json;
  json["operation"] = last - history.transactions().data();
  json["process"] = last->process;
  json["invoked_line"] = history.line_of(last->call);
  json["line"] = history.line_of(last->returned);
  json["text"] = model::name_of(worst.anomaly);
  return json;
}

Exit CheckCommand::check_transactions(const std::string& text, HistoryFormat of,
                                      const HistoryRules& rules) const {
  const model::Isolation level = wanted();
  model::TransactionCheckOptions options;
  options.steps_max = judge_options().steps_max;
  options.writes_follow_reads = !no_writes_follow_reads;
  options.versions = one_of("--version-order", version_order, model::VersionOrder::unknown,
                            {{"unknown", model::VersionOrder::unknown},
                             {"process", model::VersionOrder::process},
                             {"linearizable", model::VersionOrder::linearizable}});
  TransactionHistory history(rules);
  const EventCount count =
      read(text, of, [&](const Event& event, const Forms& forms) { return history.take(event, forms); });
  history.finish();
  show(fmt::format("judging {} transactions", history.transactions().size()));
  const auto judgement = judge(history, level, options);
  show_done();
  if (!judgement) misuse(path + ": " + judgement.error());
  const model::TransactionReport& report = judgement->report;
  const std::size_t transactions = history.transactions().size();
  if (json) {
    Json out = json_head(of, rules, judgement->verdict, transactions);
    if (report.found == 0 && rules.model == CheckModel::list_append) out["witness"] = report.order;
    for (const model::AnomalyReport& each : report.anomalies) {
      out["anomalies"].push_back(
          {{"name", model::name_of(each.anomaly)}, {"transactions", each.transactions}, {"text", each.text}});
    }
    if (const model::AnomalyReport* worst = report.worst(level))
      out["first_bad"] = first_bad_of(history, *worst);
    out["isolation"] = model::name_of(level);
    out["strongest"] = json_of(report.strongest());
    out["weakest_violated"] = json_of(report.weakest_violated());
    out["dependencies"] = report.dependencies;
    out["reason"] = judgement->why_unknown;
    fmt::print("{}\n", out.dump(-1, ' ', false, Json::error_handler_t::replace));
  } else {
    print_head(of, rules, count, transactions);
    fmt::print("{}: {}{}\n", word_of(judgement->verdict),
               judgement->verdict == Verdict::illegal ? "not " : "",
               judgement->verdict == Verdict::unknown ? judgement->why_unknown : model::name_of(level));
    if (judgement->verdict == Verdict::ok && rules.model == CheckModel::rw_register) {
      fmt::print("as far as the order of versions can be told; --version-order may tell more\n");
    }
    for (const model::AnomalyReport& each : report.anomalies) {
      fmt::print("{}: {}\n", model::name_of(each.anomaly), each.text);
    }
    const std::string strongest = names_of(report.strongest());
    fmt::print("still satisfied: {}; {} dependencies between {} transactions that happened\n",
               strongest.empty() ? "no model that is known here" : strongest, report.dependencies,
               report.counted);
  }
  return judgement->verdict == Verdict::ok ? Exit::ok : Exit::finding;
}

Exit CheckCommand::run() const {
  (void)judge_options();
  const std::string text = read_text();
  const HistoryFormat of = format_of(text);
  const HistoryRules rules = rules_for(of);
  return is_transactional(rules.model) ? check_transactions(text, of, rules) : check_objects(text, of, rules);
}

}  // namespace

void add_check(CLI::App& app, Run& run) {
  CLI::App* command =
      app.add_subcommand("check", "Judge a history of any system: linearizability, isolation");
  command->footer(
      "A history is a file of events in the order in which they happened, or - for standard input:\n"
      "  jsonl       {\"process\": 0, \"type\": \"invoke\", \"f\": \"write\", \"key\": \"x\", \"value\": 1}, "
      "an event a line\n"
      "  edn         {:process 0, :type :invoke, :f :write, :value 1}, as Jepsen stores it, or all in one "
      "vector\n"
      "  jepsen-log  the lines that Jepsen prints: ... 0<TAB>:invoke<TAB>:write<TAB>1\n"
      "type is invoke, ok, fail (it did not happen) or info (nobody knows). By model, f and value are:\n"
      "  register      write: the value; read: the value when it is ok\n"
      "  cas-register  also cas: [from to]\n"
      "  kv            put, append: a string; get: the string when it is ok\n"
      "  log           append: the value, with \"id\" when it is ok; read: all values from the first on; "
      "high-water: their number\n"
      "  list-append   any f: [[\"append\", key, value], [\"r\", key, list], ...]\n"
      "  rw-register   any f: [[\"w\", key, value], [\"r\", key, value], ...]\n"
      "Exit status: 0 ok; 1 illegal, or unknown because the budget was spent; 2 wrong use, or no history.\n"
      "Example: reel check --model cas-register --initial 0 history.edn\n"
      "         reel check --model list-append --isolation serializable --json history.jsonl");
  auto state = std::make_shared<CheckCommand>();
  command->add_option("history", state->path, "the file")->required();
  command->add_option("--model", state->model, "register, cas-register, kv, log, list-append or rw-register")
      ->required();
  command->add_option("--format", state->format, "auto, jsonl, edn or jepsen-log")->capture_default_str();
  command->add_option(
      "--initial", state->initial,
      "what is there before anybody writes, as EDN or JSON; default: nil, for kv the empty string");
  command->add_option("--nil", state->nil,
                      "a read of nil means: absent (nobody wrote yet), any (nobody knows what was read); "
                      "default: any for registers in EDN");
  command->add_option(
      "--failed-cas", state->failed_cas,
      "a failed cas is: evidence that another value was there, or ignored; default: ignored in EDN");
  command->add_option("--unknown", state->unknown,
                      "what has no outcome: maybe took effect at any time since (default), or never did");
  command->add_option("--keys", state->keys, "field: events have a key; value: values are [key value]")
      ->capture_default_str();
  command->add_option("--partition", state->partition,
                      "kv: judge each key by itself (key, default), or all as one object (none)");
  command->add_option("--isolation", state->isolation,
                      "transactions: what must hold; default: strict-serializable");
  command->add_option("--version-order", state->version_order,
                      "rw-register: the order of a key's versions is unknown (default), seen by each "
                      "process, or linearizable");
  command->add_flag("--no-writes-follow-reads", state->no_writes_follow_reads,
                    "rw-register: who reads and then writes a key did not thereby overwrite what it read");
  command
      ->add_option("--budget", state->budget,
                   "steps for each object (100 bytes each at most), or edges looked at for cycles")
      ->capture_default_str();
  command
      ->add_option("--jobs", state->jobs, "threads; 0: as many as there are cores. No verdict depends on it")
      ->capture_default_str();
  command->add_flag("--no-core", state->no_core,
                    "do not look for the fewest operations that contradict each other");
  command->add_flag("--json", state->json,
                    "print one object: model, verdict, operations, first_bad, witness, anomalies and more");
  command->callback([state, &run] { run = [state] { return state->run(); }; });
}

}  // namespace reel::harness
