# shellcheck shell=bash
# The lab in a QEMU guest: boots the kernel of parts/kernel.bash, streams the command's output, fetches its status.

guest_arguments() {
    if kvm_works; then
        whisper "KVM works"
        arguments=(-accel kvm -cpu host)
    else
        whisper "no KVM that works; emulating"
        arguments=(-accel "tcg,thread=multi" -cpu Nehalem)
    fi
    # At addresses that change each time, an emulator translates every program anew, which takes 30 ms for each start.
    local kernel_line=(console=ttyS0 quiet panic=-1 oops=panic nokaslr norandmaps no_timer_check)
    kernel_line+=("mitigations=$mitigations" "lab_job=$work/job" "lab_parts=$lab/parts" "lab_modules=$build/lib/modules")
    # A comma in a path would end it for qemu; doubled, it does not.
    arguments+=(
        -machine pc -smp 2 -m "$memory" -nodefaults -no-user-config -no-reboot -display none
        -kernel "$build/vmlinux" -initrd "$build/initramfs" -append "${kernel_line[*]}"
        -serial "file:$work/console"
        -device virtio-rng-pci
        -device virtio-serial-pci
        -chardev "file,id=out,path=/dev/fd/7" -device "virtserialport,chardev=out,nr=1"
        -chardev "file,id=err,path=/dev/fd/8" -device "virtserialport,chardev=err,nr=2"
        -chardev "file,id=status,path=$work/status" -device "virtserialport,chardev=status,nr=3"
        -chardev "file,id=alive,path=$work/alive" -device "virtserialport,chardev=alive,nr=4"
        -fsdev "local,id=host,path=/,security_model=none,readonly=on,multidevs=remap"
        -device virtio-9p-pci,fsdev=host,mount_tag=host
    )
    [[ -z $outdir ]] || arguments+=(
        -fsdev "local,id=results,path=${outdir//,/,,},security_model=none,multidevs=remap"
        -device virtio-9p-pci,fsdev=results,mount_tag=results
    )
}

run_in_guest() {
    need qemu-system-x86_64:qemu-system-x86 modprobe:kmod cpio:cpio setpriv:util-linux flock:util-linux
    find_build
    local word
    for word in "$work" "$lab" "$build"; do
        [[ $word != *[[:space:]]* ]] || fail 125 "the guest cannot be told of a path with a blank in it: $word"
    done
    local arguments began=$SECONDS
    guest_arguments
    start_guest
    await_guest
    show_console
    # What the command did went with the guest, unless it had a directory of ours.
    if [[ ! -s $work/said.out && ! -s $work/said.err && -z $outdir && $(time_left) -gt 0 ]]; then
        say "the guest froze before its command said a word; a second one starts"
        start_guest
        await_guest
        show_console
    fi
    fail 124 "the guest froze: it gave no sign of life for $FROZEN s"
}

# Seconds without a sign of life from the guest, which sends one every five, until it is given up.
FROZEN=120

# Of the limit for all guests together.
time_left() { echo $((limit - SECONDS + began)); }

# Sets guest, out, err and watcher, the processes.
start_guest() {
    rm -f "$work/alive" "$work/console" "$work/status"
    exec 7> >(tee "$work/said.out" || : >"$work/unheard")
    out=$!
    exec 8> >(exec 7>&-; tee "$work/said.err" >&2 || : >"$work/unheard")
    err=$!
    # If this script dies so does qemu.
    setpriv --pdeathsig KILL timeout -k 1 "$(time_left)" setpriv --pdeathsig KILL \
        qemu-system-x86_64 "${arguments[@]}" </dev/null >"$work/qemu.log" 2>&1 &
    guest=$!
    exec 7>&- 8>&-
    watch_guest "$guest" &
    watcher=$!
    children+=("$out" "$err" "$guest" "$watcher")
}

# Kills a guest that has frozen, whose command has written nothing for too long, or whose output nobody reads any more, and
# leaves a file that says which. Looks are counted, and not the time: this machine may have stood still too.
watch_guest() {
    local guest=$1 step=2 dead=0 silent=0 alive=0 said=0
    while sleep $step; do
        if [[ $(size alive) -ne $alive ]]; then dead=0 alive=$(size alive); else dead=$((dead + step)); fi
        if [[ $(size said.out) -ne $said ]]; then
            silent=0 said=$(size said.out)
        elif [[ $dead -lt 10 ]]; then
            # The silence of a guest that may have frozen says nothing of its command.
            silent=$((silent + step))
        fi
        if [[ $dead -ge $FROZEN ]]; then
            : >"$work/frozen"
        elif [[ $quiet -gt 0 && $silent -ge $quiet ]]; then
            : >"$work/silent"
        elif [[ ! -e $work/unheard ]]; then
            continue
        fi
        kill -KILL "$guest"
        return
    done
} &>/dev/null

size() { stat -c %s "$work/$1" || echo 0; }

# Ends this script with the status of the command, or of what went wrong; returns only after a guest that froze.
await_guest() {
    local status ending
    wait "$guest" 2>/dev/null
    ending=$?
    # It has no business with whoever gets that number next.
    kill "$watcher" 2>/dev/null
    wait "$watcher" 2>/dev/null
    wait "$out" "$err"
    [[ ! -e $work/unheard ]] || exit 141
    if [[ -s $work/status ]]; then
        read -r status <"$work/status"
        exit "$status"
    fi
    if [[ -e $work/frozen ]]; then
        rm "$work/frozen"
        return
    fi
    show_console
    [[ ! -e $work/silent ]] || fail 124 "the guest was stopped: the command said nothing for $quiet s, though the guest lives"
    [[ $ending -ne 124 && $ending -ne 137 ]] || fail 124 "the guest was stopped: the command did not end within $limit s"
    fail 125 "the guest ended without a word of the command (qemu's status $ending)"
}

show_console() {
    say "the end of the guest's console:"
    { cat "$work/qemu.log"; tail -n 60 "$work/console"; } 2>/dev/null | tr -d '\r' | sed 's/^/    /' >&2
}
