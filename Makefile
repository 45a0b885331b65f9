# dsmoe.h is one header; this builds the programs around it. Needs a C compiler (gcc or clang), libc, libm and threads.
#   make          build/chat build/logits build/tokenize build/bench build/inspect
#   make chat     a conversation with the shipped model
#   make test     every test that this machine can run; JOBS=N
#   make clean, make help
# CC, CFLAGS and LDFLAGS are respected.

# The kernels are written out by hand: at -O2 they take twice as long to compile, and run no faster.
CFLAGS ?= -O1
LIBS = -lm -lpthread
PROGRAMS = build/chat build/minimal build/logits build/tokenize build/bench build/inspect

all: $(PROGRAMS)

# The header is compiled once. Every program is written to compile alone, so it defines DSMOE_IMPLEMENTATION; the header's own guards,
# set from outside, then leave the implementation to build/dsmoe.o. A program that looks inside (dsm__ names) gets a copy of its own.
build/dsmoe.o: dsmoe.h build/flags
	$(CC) $(CFLAGS) -DDSMOE_IMPLEMENTATION -x c -c dsmoe.h -o $@

BUILD = echo $@; if grep -q dsm__ $$src; then $(CC) $(CFLAGS) -I. $$src -o $@ $(LDFLAGS) $(LIBS); \
	else $(CC) $(CFLAGS) -DDSMOE_IMPLEMENTED -DDSMOE_IMPLEMENTED_REST -I. $$src build/dsmoe.o -o $@ $(LDFLAGS) $(LIBS); fi

build/chat: examples/chat.c build/dsmoe.o
	@src=examples/chat.c; $(BUILD)
build/minimal: examples/minimal.c build/dsmoe.o
	@src=examples/minimal.c; $(BUILD)
build/logits: tools/logits.c build/dsmoe.o
	@src=tools/logits.c; $(BUILD)
build/tokenize: tools/tokenize.c build/dsmoe.o
	@src=tools/tokenize.c; $(BUILD)
build/bench: tools/bench.c build/dsmoe.o
	@src=tools/bench.c; $(BUILD)
build/inspect: tools/inspect.c build/dsmoe.o
	@src=tools/inspect.c; $(BUILD)

# Another compiler or other flags rebuild everything.
build/flags: FORCE
	@mkdir -p build; echo '$(CC) $(CFLAGS)' > build/flags.new; \
	if cmp -s build/flags.new build/flags; then rm build/flags.new; else mv build/flags.new build/flags; fi
FORCE:

chat: build/chat
	@build/chat

test:
	@CC='$(CC)' sh tests/run.sh

clean:
	rm -rf build

help:
	@sed -n '2,6s/^# *//p' Makefile

.PHONY: all chat test clean help FORCE
