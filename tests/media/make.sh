#!/usr/bin/env bash
# Makes demo.flv, the clip that the demo host plays in a loop, and demo-360p.flv, the same at a sixth of the bits.
#
# 16 s is the shortest whole number of seconds above ten that is also a whole number of AAC frames
# (750 x 1024 samples at 48 kHz), so picture and sound end together and the loop has no seam.
# Every moving thing has a period that divides 16 s. The audio is cut out of the middle of a longer
# encoding: its first frame is then an ordinary frame, not the encoder's priming.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
font=/usr/share/fonts/truetype/dejavu # Debian: fonts-dejavu-core

# A slow chord, and a short pip on each second to check lip sync against the flash in the picture.
pad='0.05*sin(2*PI*220*t)+0.04*sin(2*PI*277*t)+0.04*sin(2*PI*330*t)*(0.6+0.4*sin(2*PI*t/4))'
pip='0.25*sin(2*PI*880*t)*lt(mod(t,1),0.06)*(1-mod(t,1)/0.06)'
ffmpeg -v error -f lavfi -i "aevalsrc='$pad+$pip|$pad+$pip':s=48000:d=40" \
  -c:a aac -b:a 96k "$work/long.aac"
ffmpeg -v error -ss 16 -i "$work/long.aac" -frames:a 750 -c copy \
  "$work/loop.aac"

# Colour that drifts (drawn small, scaled up), a bar that sweeps once a second, a dot on an orbit.
drift='geq=r=62+34*sin(2*PI*(T/16+X/160))+18*cos(2*PI*(T/8+Y/90))
:g=46+22*sin(2*PI*(T/16+Y/90+0.3))+14*cos(2*PI*(T/8-X/160))
:b=74+44*cos(2*PI*(T/16+X/220+Y/120))'
drift=${drift//$'\n'/}
text="fontfile=$font/DejaVuSansMono-Bold.ttf:fontcolor=white"
ffmpeg -v error -y \
  -f lavfi -i "color=c=gray:s=160x90:r=30:d=16,format=gbrp,$drift,scale=1280x720:flags=bicubic,format=yuv420p" \
  -f lavfi -i "testsrc2=s=320x180:r=30:d=16" \
  -f lavfi -i "color=c=0xff5a36:s=1280x8:r=30:d=16" \
  -f lavfi -i "color=c=white:s=28x28:r=30:d=16" \
  -i "$work/loop.aac" \
  -filter_complex "
    [0][1]overlay=x=896:y=64[card];
    [card][2]overlay=x='-1280+1280*mod(t,1)':y=712[bar];
    [bar][3]overlay=x='626+250*cos(2*PI*t/4)':y='346+250*sin(2*PI*t/4)'[dot];
    [dot]drawtext=$text:fontsize=150:x=(w-tw)/2:y=(h-th)/2:
      text='%{eif\:floor(t)\:d\:2}.%{eif\:mod(n\,30)\:d\:2}',
    drawtext=$text:fontsize=34:x=64:y=64:text='rushlane demo',
    drawtext=$text@0.75:fontsize=24:x=64:y=112:text='1280x720  30 fps  H.264 + AAC',
    drawbox=x=64:y=620:w=48:h=48:t=fill:color=white:enable='lt(mod(t,1),0.066)',
    drawtext=$text@0.75:fontsize=24:x=130:y=632:text='flash and pip on the second'[out]" \
  -map '[out]' -map 4:a -t 16 \
  -c:v libx264 -profile:v high -preset veryslow -tune zerolatency -b:v 1000k -maxrate 1200k -bufsize 1200k \
  -g 30 -keyint_min 30 -sc_threshold 0 -bf 0 -flags +cgop -x264-params threads=4:open-gop=0 \
  -c:a copy -f flv -flvflags no_duration_filesize demo.flv

# The same pictures as a second rung of a ladder (`ROOM@360p`): key frames at the same times.
ffmpeg -v error -y -i demo.flv -map 0:v -map 0:a -vf scale=640:360:flags=lanczos \
  -c:v libx264 -profile:v high -preset veryslow -tune zerolatency -b:v 150k -maxrate 170k -bufsize 170k \
  -g 30 -keyint_min 30 -sc_threshold 0 -bf 0 -flags +cgop -x264-params threads=4:open-gop=0 \
  -c:a copy -f flv -flvflags no_duration_filesize demo-360p.flv
