#include "sim/fiber.h"

#include <cxxabi.h>

#include <algorithm>
#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstring>
#include <utility>

#include "io/ports/assert.h"

#if defined(__SANITIZE_ADDRESS__)
#define REEL_ASAN_FIBERS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define REEL_ASAN_FIBERS 1
#endif
#endif
#ifdef REEL_ASAN_FIBERS
#include <sanitizer/common_interface_defs.h>
#endif

namespace reel::sim {
namespace {

#ifdef REEL_ASAN_FIBERS
// From malloc, so that the leak checker looks into them; AddressSanitizer itself finds overflows.
using StackAllocator = boost::context::fixedsize_stack;
constexpr std::size_t kStackBytes = 512 * 1024;
#else
// With a guard page: an overflow faults instead of corrupting the heap.
using StackAllocator = boost::context::protected_fixedsize_stack;
constexpr std::size_t kStackBytes = 128 * 1024;
#endif

constexpr std::size_t kTasksMax = 1024;
constexpr std::size_t kQueueMax = 4096;
constexpr int kUnwindResumesMax = 64;

}  // namespace

// ---- Fiber ------------------------------------------------------------------------------------------------

struct Fiber::Context {
  boost::context::fiber inside;   // the body's side, while it is suspended
  boost::context::fiber outside;  // the resumer's side, while the body runs
  void* stack_bottom = nullptr;
  std::size_t stack_size = 0;
#ifdef REEL_ASAN_FIBERS
  const void* outside_bottom = nullptr;
  std::size_t outside_size = 0;
  void* inside_fake = nullptr;
#endif
};

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)), context_(std::make_unique<Context>()) {}

Fiber::~Fiber() {
  REEL_CHECK(!inside_ && "a fiber cannot destroy itself");
  if (!context_->inside || ended_) return;
  unwinding_ = true;
  for (int i = 0; !ended_ && i < kUnwindResumesMax; ++i) enter();
  REEL_CHECK(ended_ && "a fiber keeps blocking while it is unwound");
}

void Fiber::resume() {
  REEL_CHECK(!ended_ && !inside_);
  if (!context_->inside) {
    StackAllocator allocator(kStackBytes);
    const boost::context::stack_context stack = allocator.allocate();
    context_->stack_size = stack.size;
    context_->stack_bottom = static_cast<char*>(stack.sp) - stack.size;
    const boost::context::preallocated place(stack.sp, stack.size, stack);
    context_->inside =
        boost::context::fiber(std::allocator_arg, place, allocator, [this](boost::context::fiber&& outside) {
          context_->outside = std::move(outside);
          run_body();
          return std::move(context_->outside);
        });
  }
  enter();
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

// Switches to the body and returns when it switches back. Each side keeps its own exceptions in flight.
void Fiber::enter() {
  auto* const thread_state = reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
  const ExceptionState outside = *thread_state;
  *thread_state = exceptions_;
  inside_ = true;
#ifdef REEL_ASAN_FIBERS
  void* outside_fake = nullptr;
  __sanitizer_start_switch_fiber(&outside_fake, context_->stack_bottom, context_->stack_size);
#endif
  context_->inside = std::move(context_->inside).resume();
#ifdef REEL_ASAN_FIBERS
  __sanitizer_finish_switch_fiber(outside_fake, nullptr, nullptr);
#endif
  inside_ = false;
  exceptions_ = *thread_state;
  *thread_state = outside;
}

void Fiber::run_body() noexcept {
#ifdef REEL_ASAN_FIBERS
  __sanitizer_finish_switch_fiber(nullptr, &context_->outside_bottom, &context_->outside_size);
#endif
  try {
    body_();
  } catch (const Unwind&) {
    // The host is gone.
  } catch (...) {
    if (!unwinding_) failure_ = std::current_exception();
  }
  ended_ = true;
#ifdef REEL_ASAN_FIBERS
  // No fake stack to save: this one is left for ever.
  __sanitizer_start_switch_fiber(nullptr, context_->outside_bottom, context_->outside_size);
#endif
}

void Fiber::yield() {
  REEL_CHECK(inside_);
  if (unwinding_) {
    if (std::uncaught_exceptions() > 0) return;
    throw Unwind{};
  }
#ifdef REEL_ASAN_FIBERS
  __sanitizer_start_switch_fiber(&context_->inside_fake, context_->outside_bottom, context_->outside_size);
#endif
  context_->outside = std::move(context_->outside).resume();
#ifdef REEL_ASAN_FIBERS
  __sanitizer_finish_switch_fiber(context_->inside_fake, &context_->outside_bottom, &context_->outside_size);
#endif
  if (unwinding_ && std::uncaught_exceptions() == 0) throw Unwind{};
}

// ---- FiberHost --------------------------------------------------------------------------------------------

FiberHost::FiberHost(io::Ports& ports, Body body) : ports_(ports) { spawn(std::move(body)); }

FiberHost::~FiberHost() {
  // Newest first, like local variables; running_ lets a body that blocks in a destructor find its own fiber.
  while (!tasks_.empty()) {
    running_ = tasks_.back().get();
    tasks_.pop_back();
  }
}

void FiberHost::spawn(Body body) {
  REEL_CHECK(tasks_.size() + spawned_.size() < kTasksMax);
  spawned_.push_back(std::make_unique<Task>([this, body = std::move(body)] { body(*this); }));
}

io::Instant FiberHost::deadline_after(io::Duration span) const {
  const io::Instant start = now().monotonic;
  return span.ns > io::kNever.ns - start.ns ? io::kNever : start + span;
}

bool FiberHost::wait(Waiting what, std::uint64_t token, io::Instant deadline) {
  REEL_CHECK(running_ != nullptr && "blocking outside of a fiber");
  Task& task = *running_;
  task.waiting = what;
  task.token = token;
  task.deadline = deadline;
  task.answered = false;
  task.fiber.yield();
  task.waiting = Waiting::nothing;
  task.deadline = io::kNever;
  return task.answered;
}

void FiberHost::sleep(io::Duration span) { (void)wait(Waiting::time, 0, deadline_after(span)); }

std::optional<io::Parcel> FiberHost::call(io::NodeId to, io::Parcel body, io::Duration timeout) {
  Task* const task = running_;
  const io::CallId id(++calls_);
  ports_.remote.call(to, id, std::move(body));
  if (!wait(Waiting::reply, id.value, deadline_after(timeout))) {
    ports_.remote.cancel(id);
    return std::nullopt;
  }
  if (!task->reply) return std::nullopt;
  return std::exchange(task->reply, {});
}

std::optional<FiberHost::Letter> FiberHost::receive(io::Duration timeout) {
  if (letters_.empty()) (void)wait(Waiting::letter, 0, deadline_after(timeout));
  if (letters_.empty()) return std::nullopt;
  Letter letter = std::move(letters_.front());
  letters_.pop_front();
  return letter;
}

std::optional<FiberHost::Query> FiberHost::accept(io::Duration timeout) {
  if (queries_.empty()) (void)wait(Waiting::query, 0, deadline_after(timeout));
  if (queries_.empty()) return std::nullopt;
  Query query = std::move(queries_.front());
  queries_.pop_front();
  return query;
}

io::DiskResult FiberHost::disk(io::DiskRequest request) {
  Task* const task = running_;
  request.op = io::DiskOpId(++operations_);
  ports_.disk.submit(std::move(request));
  if (!wait(Waiting::disk, operations_, io::kNever))
    task->disk.status = io::DiskStatus::io_error;  // unwinding
  return std::exchange(task->disk, {});
}

FiberHost::Task* FiberHost::waiting_for(Waiting what, std::uint64_t token) {
  for (const std::unique_ptr<Task>& task : tasks_) {
    if (task->waiting == what && task->token == token && !task->answered) return task.get();
  }
  return nullptr;
}

void FiberHost::wake(Task& task) {
  running_ = &task;
  task.fiber.resume();
  running_ = nullptr;
}

// Starts what was spawned, until nothing new is.
void FiberHost::run_ready() {
  while (!spawned_.empty()) {
    std::unique_ptr<Task> task = std::move(spawned_.front());
    spawned_.erase(spawned_.begin());
    tasks_.push_back(std::move(task));
    wake(*tasks_.back());
  }
}

void FiberHost::finish_step() {
  run_ready();
  std::erase_if(tasks_, [](const std::unique_ptr<Task>& task) { return task->fiber.ended(); });
  io::Instant next = io::kNever;
  for (const std::unique_ptr<Task>& task : tasks_) next = std::min(next, task->deadline);
  ports_.clock.wake_at(next);
}

void FiberHost::on_start() { finish_step(); }

void FiberHost::on_wake() {
  const io::Instant time = now().monotonic;
  // By index: a task that wakes may spawn, but tasks_ itself changes in finish_step() only.
  for (std::size_t i = 0; i < tasks_.size(); ++i) {
    Task& task = *tasks_[i];
    if (task.waiting != Waiting::nothing && task.deadline <= time) wake(task);
  }
  finish_step();
}

void FiberHost::on_disk(io::DiskResult result) {
  Task* const task = waiting_for(Waiting::disk, result.op.value);
  REEL_CHECK(task != nullptr);
  task->disk = std::move(result);
  task->answered = true;
  wake(*task);
  finish_step();
}

void FiberHost::on_received(io::NodeId from, io::Parcel parcel) {
  if (letters_.size() >= kQueueMax) return;  // best effort, like the network itself
  letters_.push_back({from, std::move(parcel)});
  if (Task* const task = waiting_for(Waiting::letter, 0)) {
    task->answered = true;
    wake(*task);
  }
  finish_step();
}

void FiberHost::on_call(io::CallId call, io::Rights rights, io::Parcel body) {
  if (queries_.size() >= kQueueMax) return;  // the caller has a deadline
  queries_.push_back({call, rights, std::move(body)});
  if (Task* const task = waiting_for(Waiting::query, 0)) {
    task->answered = true;
    wake(*task);
  }
  finish_step();
}

void FiberHost::on_call_cancelled(io::CallId call) {
  std::erase_if(queries_, [call](const Query& query) { return query.call == call; });
}

void FiberHost::on_reply(io::CallId call, io::Parcel body) {
  if (Task* const task = waiting_for(Waiting::reply, call.value)) {
    task->reply = std::move(body);
    task->answered = true;
    wake(*task);
  }
  finish_step();
}

void FiberHost::on_call_failed(io::CallId call) { on_reply(call, {}); }

}  // namespace reel::sim
