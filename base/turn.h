// What happens at the end of a turn: of one event (bytes arrived, a timer fired), or of some that were ready
// together. They run to their ends; then the tasks they deferred run, and then the objects they buried die.
// This is the only way to die inside a callback, and the only way to do something "once, after everything
// else": joining several small writes into one is such a thing. What is buried may still be called back until
// then, if it has asked for it.
//
// Thread: the loop's. Owner: whoever turns the loop (net::Loop, or a test's FakeNetwork), which calls
// finish() between top-level callbacks. It outlives what is deferred or buried in it.
#pragma once

#include <memory>
#include <vector>

namespace remora {

class Turn;

// Something to be done once at the end of the current turn. A member or base of the object that wants it;
// its destructor takes it off the list.
class TurnTask {
 public:
  TurnTask() = default;
  TurnTask(const TurnTask&) = delete;
  TurnTask& operator=(const TurnTask&) = delete;
  virtual void at_end_of_turn() = 0;

 protected:
  virtual ~TurnTask() { unlink(); }

 private:
  friend class Turn;
  void unlink() {
    if (next_ == nullptr) return;
    next_->prev_ = prev_;
    prev_->next_ = next_;
    next_ = prev_ = nullptr;
  }
  TurnTask* next_ = nullptr;
  TurnTask* prev_ = nullptr;
};

class Turn final {
 public:
  Turn() { head_.next_ = head_.prev_ = &head_; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  // What is buried dies; what is deferred does not run.
  ~Turn() {
    while (!graves_.empty()) clear_graves();
    while (head_.next_ != &head_) head_.next_->unlink();
  }

  // Runs `task` at the end of the turn; deferring it again before that does nothing. A task may be deferred
  // from a task (itself included): it then runs in the same finish().
  void defer(TurnTask& task) {
    if (task.next_ != nullptr) return;
    task.prev_ = head_.prev_;
    task.next_ = &head_;
    head_.prev_->next_ = &task;
    head_.prev_ = &task;
  }

  // Takes an object that must not die yet because its own code is still on the stack.
  template <typename T>
  void bury(std::unique_ptr<T> object) {
    if (object) graves_.emplace_back(object.release(), [](void* p) { delete static_cast<T*>(p); });
  }

  // Runs the deferred tasks in order, then destroys what was buried, until nothing is left of either. Inside
  // itself it does nothing.
  void finish() {
    if (finishing_ || idle()) return;
    finishing_ = true;
    do {
      while (head_.next_ != &head_) {
        TurnTask* task = head_.next_;
        task->unlink();
        task->at_end_of_turn();
      }
      clear_graves();
    } while (!idle());
    finishing_ = false;
  }

  // Nothing is deferred or buried.
  bool idle() const { return head_.next_ == &head_ && graves_.empty(); }

 private:
  struct Anchor final : TurnTask {
    void at_end_of_turn() override {}
  };
  using Grave = std::unique_ptr<void, void (*)(void*)>;

  // A destructor may bury again, so the list that it adds to is not the one that is being cleared.
  void clear_graves() {
    clearing_.swap(graves_);
    clearing_.clear();
  }

  Anchor head_;  // of a circular list; never runs itself
  std::vector<Grave> graves_;
  std::vector<Grave> clearing_;
  bool finishing_ = false;
};

}  // namespace remora
