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
    local kernel_line=(console=ttyS0 quiet panic=-1 oops=panic mitigations=off nokaslr norandmaps no_timer_check "lab_job=$work/job")
    kernel_line+=("lab_parts=$lab/parts" "lab_modules=$build/lib/modules")
    # A comma in a path would end it for qemu; doubled, it does not.
    arguments+=(
        -machine pc -smp 2 -m "$memory" -nodefaults -no-user-config -no-reboot -display none
        -kernel "$build/vmlinux" -initrd "$build/initramfs" -append "${kernel_line[*]}"
        -serial "file:$work/console"
        -device virtio-rng-pci
        -device virtio-serial-pci
        -chardev "file,id=out,path=$work/out" -device "virtserialport,chardev=out,nr=1"
        -chardev "file,id=err,path=$work/err" -device "virtserialport,chardev=err,nr=2"
        -chardev "file,id=status,path=$work/status" -device "virtserialport,chardev=status,nr=3"
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
    local arguments
    guest_arguments
    mkfifo "$work/out" "$work/err" || fail 125 "cannot make pipes in $work"
    tee "$work/heard" <"$work/out" &
    local out=$!
    cat <"$work/err" >&2 &
    local err=$!
    # If this script dies so does qemu.
    setpriv --pdeathsig KILL timeout -k 1 "$limit" setpriv --pdeathsig KILL \
        qemu-system-x86_64 "${arguments[@]}" </dev/null >"$work/qemu.log" 2>&1 &
    local guest=$!
    children+=("$out" "$err" "$guest")
    if [[ $quiet -gt 0 ]]; then
        stop_if_quiet "$guest" &
        children+=($!)
    fi
    await_guest "$guest" "$out" "$err"
}

# Kills a guest that has not written for too long.
stop_if_quiet() {
    : >"$work/heard"
    while [[ $(($(date +%s) - $(stat -c %Y "$work/heard"))) -le $quiet ]]; do sleep 2; done
    kill -KILL "$1"
} >/dev/null

# Ends this script with the status of the command, or of what went wrong.
await_guest() {
    local guest=$1 running=("$@") ended status ending=
    while [[ ${#running[@]} -gt 0 ]]; do
        wait -n -p ended "${running[@]}"
        status=$?
        mapfile -t running < <(printf '%s\n' "${running[@]}" | grep -vx "$ended")
        if [[ $ended == "$guest" ]]; then
            ending=$status
            # A guest that died before it opened the pipes leaves their readers waiting.
            [[ -s $work/console || -s $work/status ]] || break
        elif [[ $status -ne 0 ]]; then
            exit "$status" # nobody reads our output any more
        fi
    done
    if [[ -s $work/status ]]; then
        read -r status <"$work/status"
        exit "$status"
    fi
    show_console
    if [[ $ending -eq 124 || $ending -eq 137 ]]; then
        [[ $quiet -eq 0 ]] || fail 124 "the guest was stopped: the command ran for $limit s or said nothing for $quiet s"
        fail 124 "the guest was stopped: the command did not end within $limit s"
    fi
    fail 125 "the guest ended without a word of the command (qemu's status $ending)"
}

show_console() {
    say "the end of the guest's console:"
    { cat "$work/qemu.log"; tail -n 60 "$work/console"; } 2>/dev/null | tr -d '\r' | sed 's/^/    /' >&2
}
