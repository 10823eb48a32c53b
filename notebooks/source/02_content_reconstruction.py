# %% [markdown] tags=["title"]
# # 02 · Content reconstruction
#
# *Question*: How much of a photo survives in each layer?
#
# *Time*: 40 minutes to read and try; about a minute of computing on a laptop without a GPU.
#
# Lesson 01 showed what each layer *says* about a photo. Now we throw the photo away, keep only what one layer said, and
# draw the photo anew from that. What comes back was in the layer. What does not come back was lost, or it was there and
# we failed to read it; most of this lesson is about telling these two apart. You need to know what a gradient is.

# %%
import time

import torch
import torch.nn.functional as F
from skimage.metrics import peak_signal_noise_ratio

from nstlib import VGGFeatures, content_loss, reconstruct
from nstlib.course import anatomy, check, curve, exercises, figures, profile_for, show
from nstlib.course.widgets import slider_over
from nstlib.data import gallery
from nstlib.runtime import pick_device

profile = profile_for("02_content_reconstruction")
features = VGGFeatures(pooling="avg", precision="float32", device=pick_device())
profile

# %% [markdown]
# (We ask for `float32`. In half precision, the loss stops falling long before the end of the races that we run here.)
#
# ## 1 · From numbers back to a picture
#
# The layer `conv3_1` looks at the photo and answers with a block of numbers, $P$. We keep $P$ and start from noise. The
# noise gets numbers of its own, $F$. Then we move the *pixels*, all at once and a little in each step, so that $F$
# comes nearer to $P$. `content_loss` is how far there is to go, and we take it relative to $P$:
#
# $$L = \frac{\sum (F - P)^2}{\sum P^2} \qquad\text{in code: } \texttt{content\_loss(F, P, "relative")}$$
#
# 0 is reached, 1 is as far away as a layer that says nothing. The whole method is one call, `reconstruct`. `keep` puts
# some pictures aside on the way. For now we switch off every other wish that the library has (`tv_weight=0`).

# %%
photo = gallery.content("astronaut", profile.size)
moments = {}


def keep(record):
    if record.step in (1, 5, 15, 40, profile.steps):
        moments[f"step {record.step}"] = record.image


first = reconstruct(
    photo, "conv3_1", features=features, steps=profile.steps, content_weight=1, tv_weight=0, callback=keep
)
show({**moments, "the photo": photo}, columns=6, width=8.4)

# %% [markdown]
# Nobody told the computer what an astronaut looks like. The photo itself was never compared with, only its numbers.
#
# ## 2 · How good is it? A number
#
# Our eyes say "nearly the same, but grainy". The usual number for this is the **peak signal-to-noise ratio**. With
# pixels in [0, 1] the peak is 1, the noise is the mean squared difference, and the ratio is told in decibels:
#
# $$\text{PSNR}(a, b) = 10\,\log_{10}\frac{1}{\text{mean}\,(a - b)^2}$$
#
# **Exercise.** Write it. `a` and `b` are pictures of the same shape; give back one number.


# %% tags=["exercise"]
def my_psnr(a, b):
    # SOLUTION
    return -10 * torch.log10(((a - b) ** 2).mean())
    # END SOLUTION


# %%
def psnr(a, b):
    """The same from scikit-image, which we use from here on."""
    return float(peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=1.0))


check.number(
    "PSNR",
    my_psnr(first.image, photo),
    psnr(first.image, photo),
    tolerance=0.01,
    hint=["torch.log10 is the logarithm to base 10.", "log(1/x) is -log(x)."],
    why="Ten decibels more are a tenth of the squared error.",
)

# %% [markdown]
# To get a feeling for the scale: the same photo with more and more noise. From 40 on you can hardly tell; at 20 it is
# grainy; at 10 the noise is as large as the picture.

# %%
noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))
noisy = {amount: (photo + amount * noise).clamp(0, 1) for amount in (0.01, 0.03, 0.1, 0.4)}
show([photo, *noisy.values()], ["photo"] + [f"{psnr(n, photo):.0f} dB" for n in noisy.values()], width=7)

# %% tags=["test"]
assert [psnr(n, photo) for n in noisy.values()] == sorted((psnr(n, photo) for n in noisy.values()), reverse=True)
assert abs(psnr(noisy[0.01], photo) - 40) < 1.5

# %% [markdown]
# ## 3 · Five layers
#
# Report 003 does it for the first convolution of each block, after Gatys' figure 1. **Guess first**: what will come
# back from `conv4_1`, nine convolutions and three poolings away from the pixels?
#
# - `"a"` a blur: the right colours, no edges
# - `"b"` the same photo, hardly to be told apart
# - `"c"` everything in its place, with wrong details

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_conv4 = ...  # "a", "b" or "c"
guess_conv4 = "c"
# END SOLUTION


# %%
def rebuild(layer, prior=0.0, **options):
    """A picture from what one layer says of the photo. ``trace``: its PSNR at every step."""
    trace = []
    result = reconstruct(
        photo,
        layer,
        features=features,
        steps=profile.steps,
        content_weight=1,
        tv_weight=prior,
        callback=lambda record: trace.append(psnr(record.image, photo)),
        **options,
    )
    result.trace = trace
    return result


layers = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
bare = {name: rebuild(name) for name in layers}

# %%
titles = [f"{name}: {psnr(bare[name].image, photo):.1f} dB" for name in layers]
show([photo, *[bare[name].image for name in layers]], ["photo", *titles], columns=3, width=5.7)

# %% [markdown]
# Slide through them (all is computed; the slider only shows):

# %%
slider = slider_over([photo, *[bare[name].image for name in layers]], ["photo", *layers], "drawn from")
slider

# %% tags=["test"]
seconds = []
for index in (3, 1, 5, 0, 4):
    begin = time.perf_counter()
    slider.select(index)
    seconds.append(time.perf_counter() - begin)
assert sorted(seconds)[2] < 0.1, seconds
assert slider.view.value == slider.files[4]

# %%
check.choice(
    "what comes back from conv4_1",
    guess_conv4,
    correct="c",
    explain={
        "a": "edges are what survives best: look at the outline of the suit, or at the badge.",
        "b": "look at the face: would you know her again?",
        "c": "Suit, badge, rocket and helmet are where they were. The face is a face, but not hers.",
    },
)

# %% [markdown]
# Did the optimiser do its work? The loss of each run, and beside it the PSNR at the end:

# %%
curve({name: run.records for name, run in bare.items()}, "content loss, relative: 1 is nothing, 0 is the target")

# %%
figures.bars({name: psnr(run.image, photo) for name, run in bare.items()}, "dB", title="PSNR against the photo")

# %% tags=["test"]
bare_psnr = [psnr(bare[name].image, photo) for name in layers]
assert bare_psnr[0] == max(bare_psnr)
assert bare_psnr[-1] == min(bare_psnr)
assert bare_psnr[0] > bare_psnr[-1] + 10
assert all(run.best.total < 0.05 * run.records[0].total for run in bare.values())

# %% [markdown]
# ### What went wrong, and why
#
# Two things do not fit together. Report 003 says that "reconstruction from lower layers is almost perfect", and
# `conv2_1` and `conv3_1` are *grainy* here. And yet their loss is practically zero: the layer itself finds our grainy
# picture as good as the photo. Let us ask it directly. Which of these three is nearest to the photo, for `conv5_1`?

# %%
target = {name: maps.cpu() for name, maps in features(photo.to(features.device), layers).items()}


def distance(picture, layer):
    """How far a picture is from the photo, for one layer."""
    maps = features(picture.to(features.device), [layer])[layer]
    return content_loss(maps.detach().cpu(), target[layer], "relative").item()


blurred = F.avg_pool2d(F.pad(photo, (2, 2, 2, 2), mode="replicate"), 5, stride=1)
asked = {
    "a little noise": noisy[0.03],
    "blurred": blurred,
    "drawn from conv5_1": bare["conv5_1"].image,
}
show({f"{name}\n{psnr(p, photo):.1f} dB": p for name, p in asked.items()}, width=5.2)

# %%
figures.bars({name: distance(p, "conv5_1") for name, p in asked.items()}, title="distance from the photo, for conv5_1")

# %% tags=["test"]
assert distance(asked["drawn from conv5_1"], "conv5_1") < distance(blurred, "conv5_1")
assert psnr(bare["conv5_1"].image, photo) < psnr(blurred, photo) - 3

# %% [markdown]
# For us the third is hardly a picture. For `conv5_1` it is many times *nearer* to the photo than the photo itself when
# slightly blurred. So it is not the optimiser that failed; the layer does not see the difference, or hardly.
#
# ## 4 · Count: numbers in, numbers out
#
# If a layer answers with fewer numbers than the picture has, then something must be lost. Is it so simple? A picture
# has $3 \times H \times W$ numbers. Each pooling takes three of four positions away; the channels make up for it,
# for a while.
#
# **Exercise.** How many numbers does a layer give for each number of the picture? `channels` is what it has, `poolings`
# how many stand before it. (Take sides that can be halved without a rest.)


# %% tags=["exercise"]
def numbers_out_over_in(channels, poolings):
    # SOLUTION
    return channels / (3 * 4**poolings)
    # END SOLUTION


# %%
check.number(
    "numbers out over numbers in",
    numbers_out_over_in(96, 2),
    96 * 16 * 16 / (3 * 64 * 64),
    tolerance=1e-6,
    hint=[
        "Behind one pooling there are half as many rows and half as many columns.",
        "Out: channels x H/2^p x W/2^p. In: 3 x H x W.",
    ],
    why="H and W cancel: the share is the same for a stamp and for a poster.",
)

# %% [markdown]
# A layer knows nothing that was lost on its way. So we also ask for the **narrowest place** between the pixels and the
# layer. It is always a pooling, before the next convolutions make more channels again. In code: the smallest share
# of all the layers up to this one.


# %%
def narrowest(layer, widths):
    """The smallest share of numbers on the way to a layer; ``widths`` are the channels of the five blocks."""
    block = int(layer[4])
    shares = [widths[block - 1] / (3 * 4 ** (block - 1))]
    shares += [widths[b] / (3 * 4 ** (b + 1)) for b in range(block - 1)]  # pool1, pool2, ... have the old channels
    return min(shares)


widths = [features.channels(name) for name in layers]
field = {"conv1_1": 3, "conv2_1": 10, "conv3_1": 24, "conv4_1": 68, "conv5_1": 156}  # pixels, measured in lesson 01
share = {name: features.channels(name) / (3 * 4 ** (int(name[4]) - 1)) for name in layers}
rows = []
for name in layers:
    ways = [f"{narrowest(name, w):.2f}" for w in (widths, (64, 128, 256, 512, 512))]
    rows.append([name, features.channels(name), f"{share[name]:.2f}", *ways, f"{field[name]} px"])
    rows[-1].append(f"{psnr(bare[name].image, photo):.1f} dB")
heads = ["layer", "channels", "numbers out / in", "at the narrowest place", "in the full VGG-19", "one number sees"]
anatomy.Table([*heads, "PSNR, from noise"], rows)

# %% [markdown]
# The first layers give *more* numbers than they get: nothing need be lost there, and `conv2_1` is grainy all the same.
# Only where the way is narrower than 1 it is certain that many pictures look the same to the layer: in the compact
# network from `conv3_1` on, in the full VGG-19 not before `conv5_1`. (Mind the trap: `conv3_1` itself has more numbers
# than the picture. But they are all made from the few behind `pool2`.) So counting tells us something about the deep
# layers, but it does not explain the grain.
#
# The column *one number sees* is the receptive field. The wider it is, the more pixels are mixed into one number, and
# the less exactly that number can say where something was. Hold that against the faces in section 3.
#
# ## 5 · Gone, whispered, or not there yet
#
# Take a stamp of 16 x 16 pixels out of the photo: 768 numbers, so 768 directions in which the stamp can change. For
# *each* direction we can compute how strongly a layer answers. That is linear algebra: the derivative of the layer's
# numbers with respect to the pixels is a matrix $J$ (the *Jacobian*), and its **singular values** are the gains. The
# singular vectors are the directions, little pictures of 16 x 16 themselves.

# %%
top, left = round(0.16 * photo.shape[2]), round(0.4 * photo.shape[3])
stamp = photo[:, :, top : top + 16, left : left + 16].to(features.device)
enlarged = stamp.cpu().repeat_interleave(11, 2).repeat_interleave(11, 3)
show({"the photo": photo, "the stamp": enlarged}, width=3.6)

# %%


def jacobian(layer):
    """How each number of a layer changes with each number of the stamp: (numbers out, numbers in)."""
    picture = stamp.clone().requires_grad_()
    maps = features(picture, [layer])[layer]
    rows = torch.eye(maps.numel(), device=maps.device).view(-1, *maps.shape)
    (slopes,) = torch.autograd.grad(maps, picture, rows, is_grads_batched=True)
    return slopes.flatten(1).cpu()


def listen(layer):
    """All directions of the stamp, the best heard first, and the gain of each; the best has gain 1."""
    slopes = jacobian(layer).double()
    squares, vectors = torch.linalg.eigh(slopes.T @ slopes)  # the singular values squared, and their directions
    gain = squares.clamp(min=0).flip(0).sqrt()
    gain[len(slopes) :] = 0  # a matrix has no more of them than rows
    return vectors.T.flip(0).float(), (gain / gain[0]).float()


directions, gains = {}, {}
for name in layers:
    directions[name], gains[name] = listen(name)

# %%
figure, (left_ax, right_ax) = anatomy.panels(2, 10, 3.4)
for colour, (name, gain) in zip(figures.COLOURS, gains.items()):
    left_ax.plot(range(1, 769), gain.clamp(min=1e-9), color=colour, label=name)
left_ax.set(
    yscale="log", ylim=(1e-6, 60), xlabel="direction, the best heard first", ylabel="gain, relative to the best"
)
left_ax.set_title("how loud each direction is", loc="left")
left_ax.legend(loc="upper center", frameon=False, ncols=3, fontsize=9)
kinds = {"heard: above 1/20": (0.05, 2.0), "whispered": (1e-5, 0.05), "gone": (-1.0, 1e-5)}
counted = {k: [int(((g > a) & (g <= b)).sum()) for g in gains.values()] for k, (a, b) in kinds.items()}
below = [0] * len(layers)
for colour, (kind, numbers) in zip(("#2f6f9f", "#a9c6dc", "#d1603d"), counted.items()):
    right_ax.bar(layers, numbers, bottom=below, color=colour, label=kind, width=0.7)
    below = [a + b for a, b in zip(below, numbers)]
right_ax.set_title("the 768 directions of a stamp", loc="left")
right_ax.set_ylim(0, 768 * 1.3)
right_ax.set_yticks([0, 256, 512, 768])
right_ax.legend(loc="upper center", frameon=False, ncols=3, fontsize=9, columnspacing=1.2, handlelength=1.2)
figure

# %% [markdown]
# Here is the answer, and it has three parts.
#
# - **Gone** (gain zero, or below a hundred-thousandth): no method on earth reads it back. This is what the counting
#   found, and more: where a ReLU is shut, a number that was counted says nothing.
# - **Whispered**: it is there, but a change of the pixels that the layer hardly answers to is one that the loss hardly
#   punishes. With plain gradient descent the error in a direction shrinks at the pace of its gain *squared*: a
#   twentieth of the gain takes four hundred times the steps.
# - **Heard**: comes back at once.
#
# What do these directions look like? The five that each layer hears best, and five that it hears worst:


# %%
def pattern(vector):
    """A direction as a picture: grey is no change."""
    small = (0.5 + 0.5 * vector / vector.abs().max()).view(1, 3, 16, 16)
    return small.repeat_interleave(8, 2).repeat_interleave(8, 3)


tiles = {}
for name in ("conv2_1", "conv4_1"):
    heard = int((gains[name] > 1e-5).sum())
    tiles |= {f"{name} · {i + 1}": pattern(directions[name][i]) for i in range(5)}
    tiles |= {f"{name} · {i + 1}": pattern(directions[name][i]) for i in range(heard - 5, heard)}
show(tiles, columns=5, width=5.8)

# %% [markdown]
# What is heard best is broad: light against dark. What is heard worst is fine and in colour: pixel against pixel, red
# against green. **That is the grain in our pictures.** The noise that we started from contains all directions alike;
# the loud ones were corrected, the whispered ones are still as they were. Pooling is the reason: the mean of four
# pixels does not change when one goes up and its neighbour goes down.
#
# Does "gone" really mean gone? Take the directions that `conv5_1` does not hear at all, add a random mixture of
# them to the stamp, and add as much of any noise to another copy:

# %%
hidden = directions["conv5_1"][gains["conv5_1"] == 0]
mixture = torch.randn(768, generator=torch.Generator().manual_seed(0))
unheard = hidden.T @ (hidden @ mixture)


def answer(change, layer="conv5_1"):
    """How strongly the layer answers to a small change of the stamp, relative to all that it says."""
    changed = stamp + 0.0005 * (change / change.std()).view_as(stamp).to(stamp)
    before, after = (features(p, [layer])[layer].detach() for p in (stamp, changed))
    return ((after - before).norm() / before.norm()).item()


loudness = {"any noise": answer(mixture), "as much, but unheard": answer(unheard)}
figures.bars(loudness, title="how strongly conv5_1 answers")

# %% tags=["test"]
assert len(hidden) >= 768 - 16 * 16 // 256 * features.channels("conv5_1")
assert loudness["as much, but unheard"] < 0.2 * loudness["any noise"]
assert counted["gone"][0] == 0
for k, name in enumerate(layers):
    assert 768 - counted["gone"][k] <= narrowest(name, widths) * 768 + 1e-6
assert counted["heard: above 1/20"][0] > counted["heard: above 1/20"][1] > counted["heard: above 1/20"][3]
for name in layers:
    assert abs(gains[name][0].item() - 1) < 1e-6
    assert int((gains[name] > 0).sum()) <= share[name] * 768 + 1e-6

# %% [markdown]
# (It is not quite silent, since a ReLU that opens or shuts on the way changes the matrix.)
#
# Back to the large pictures. Draw each run as a path: to the right the loss falls, upwards the picture becomes better.


# %%
def paths(runs, title):
    figure, (ax,) = anatomy.panels(1, 7.5, 3.4)
    for colour, (name, run) in zip(figures.COLOURS, runs.items()):
        # the first steps jump about
        ax.plot([r.content_total for r in run.records[8:]], run.trace[8:], color=colour, label=name)
        ax.plot(run.records[-1].content_total, run.trace[-1], "o", color=colour)
    ax.set(xscale="log", xlabel="content loss, relative (falls to the right)", ylabel="PSNR, dB")
    ax.invert_xaxis()
    ax.set_title(title, loc="left")
    ax.legend(loc="upper left", frameon=False)
    return figure


paths(bare, "from noise: the way of each run")

# %% [markdown]
# A path that climbs until its end says *not there yet*: `conv1_1` gets better with every step; give it more. A path
# that runs level while the loss falls by powers of ten says *whispered or gone*: more steps buy nearly nothing.
#
# ## 6 · A prior: what photos look like
#
# Mahendran and Vedaldi (2015), who made this game known, saw the same grain. Their cure: among all the pictures that
# the layer takes for the photo, prefer one that *looks like a photo*. Neighbouring pixels of a photo are nearly alike,
# so they add the **total variation**, the mean squared difference of neighbours (theirs with $\beta = 2$):
#
# $$L = \frac{\sum (F - P)^2}{\sum P^2} + w\,\Big(\overline{(x_{i+1,j} - x_{ij})^2} + \overline{(x_{i,j+1} - x_{ij})^2}\Big)$$
#
# In the code: `total_variation(images, power=2, reduction="mean")`, and $w$ is `tv_weight`. We take a *whisper* of it,
# $w = 0.1$. **Guess first**: for which layer will it help *least*, in decibels?
#
# - `"a"` for `conv1_1`: where nothing is lost there is nothing to win
# - `"b"` for `conv3_1`: it is in the middle
# - `"c"` for `conv5_1`: although it needs help most

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_prior = ...  # "a", "b" or "c"
guess_prior = "c"
# END SOLUTION

# %%
helped = {name: rebuild(name, prior=0.1) for name in layers}

# %%
pictures, titles = [], []
for runs in (bare, helped):
    pictures += [runs[name].image for name in layers]
    titles += [f"{name}, {psnr(runs[name].image, photo):.1f} dB" for name in layers]
show(
    pictures,
    titles,
    columns=5,
    width=8.0,
    caption="above: from the features alone · below: with a whisper of total variation",
)

# %%
both = {
    "from the features alone": {name: psnr(bare[name].image, photo) for name in layers},
    "with a whisper of total variation": {name: psnr(helped[name].image, photo) for name in layers},
}
anatomy.lines(both, "PSNR by layer", "dB")

# %%
paths(helped, "with the prior: the way of each run")

# %%
check.choice(
    "what the prior does",
    guess_prior,
    correct="c",
    explain={
        "a": "there was something to win: it was on its way and now arrives sooner. See where the lines are nearest.",
        "b": "see how far apart the two lines are there.",
        "c": "The prior can choose among what a layer leaves open. It cannot know what the photo was.",
    },
)

# %% tags=["test"]
rise = {
    name: both["with a whisper of total variation"][name] - both["from the features alone"][name] for name in layers
}
assert min(rise, key=rise.get) == "conv5_1", rise
assert rise["conv2_1"] > 3, rise
helped_psnr = [psnr(helped[name].image, photo) for name in layers]
assert helped_psnr == sorted(helped_psnr, reverse=True), helped_psnr
assert all(run.best.content_total < 0.05 for run in helped.values())

# %% [markdown]
# Now report 003 is right: the low layers are almost perfect, and it goes down layer by layer. The content loss is
# next to nothing all the same. **The prior did not beat the layer; it decided what the layer left open.**
#
# That also says what a prior cannot do. In `conv5_1` the finest grain is gone as well, but what stays is smooth and
# *invented*. And more of it is not better:

# %%
weights = [0, 0.1, 1, 10, 100]
swept = {0: bare["conv4_1"], 0.1: helped["conv4_1"], **{w: rebuild("conv4_1", prior=w) for w in weights[2:]}}
titles = [f"w = {w:g}: {psnr(run.image, photo):.1f} dB" for w, run in swept.items()]
show(
    [run.image for run in swept.values()],
    titles,
    width=8.2,
    caption="drawn from conv4_1, with more and more total variation",
)

# %%
lost = {f"w = {w:g}": run.best.content_total for w, run in swept.items()}
anatomy.lines({"": lost}, "what it costs: content loss of conv4_1", "relative", log=True)

# %% tags=["test"]
quality = [psnr(run.image, photo) for run in swept.values()]
assert max(quality[1:3]) > quality[0], quality
assert max(quality) > quality[-1], quality
assert swept[100].best.content_total > swept[0.1].best.content_total

# %% [markdown]
# Too little leaves the grain, too much paints over what the layer *did* say: the loss rises. Two priors hide in every
# such picture without being asked for: pixels stay in [0, 1], and **the start**. From a grey start nothing puts grain
# into the whispered directions, so that none must be taken out. The same layer, no prior, only another start:

# %%
grey = rebuild("conv3_1", init="grey")
starts = {
    "from noise": bare["conv3_1"].image,
    "from grey": grey.image,
    "noise, with prior": helped["conv3_1"].image,
}
show({f"{name}\n{psnr(p, photo):.1f} dB": p for name, p in starts.items()}, width=5.2)

# %% tags=["test"]
assert psnr(grey.image, photo) > psnr(bare["conv3_1"].image, photo) + 3

# %% [markdown]
# So "how much can be reconstructed from a layer" is *not a property of the layer alone*. Whoever states a number must
# state start, prior and steps, too. Report 003 states none of the three; Gatys' figure starts from white noise.
#
# ## 7 · What the ReLU throws away
#
# The report's names are `conv2_1` and so on. In many programs, and most likely in Gatys' own figure, what is meant is
# what comes out *behind* the ReLU: `relu2_1`. A ReLU replaces all negative numbers by zero: up to half of them.
# That looks like a massacre. What does it cost? Once more the reconstructions with the prior, before and behind; and
# the stamp of section 5, how many of its directions are gone.

# %%
behind = {name.replace("conv", "relu"): rebuild(name.replace("conv", "relu"), prior=0.1) for name in layers[:4]}
zeros = {name: (target[name] <= 0).float().mean().item() for name in layers}
rows = []
for name, relu in zip(layers, behind):
    gone = [int((gain <= 1e-5).sum()) for gain in (gains[name], listen(relu)[1])]
    decibels = [f"{psnr(run.image, photo):.1f} dB" for run in (helped[name], behind[relu])]
    rows.append([f"{name}, {relu}", f"{zeros[name]:.0%}", *decibels, *gone])
heads = ["layer", "set to zero", "PSNR before", "PSNR behind", "gone before", "gone behind"]
anatomy.Table(heads, rows)

# %%
pair = {}
for name in layers[2:4]:
    relu = name.replace("conv", "relu")
    pair |= {f"{name}: {psnr(helped[name].image, photo):.1f} dB": helped[name].image}
    pair |= {f"{relu}: {psnr(behind[relu].image, photo):.1f} dB": behind[relu].image}
show(pair, columns=4, width=6.6)

# %% tags=["test"]
assert all(0.05 < z < 0.95 for z in zeros.values()), zeros
for name, relu in zip(layers[:4], behind):
    assert abs(psnr(behind[relu].image, photo) - psnr(helped[name].image, photo)) < 2.5, name
assert max(row[5] for row in rows[:2]) < 40, rows  # where there are numbers to spare, little is gone

# %% [markdown]
# Hardly anything, to our own surprise: about a decibel at most, and not always in the same direction. The numbers of a
# layer are no independent witnesses. What one filter is silent about, others tell, and "zero" is an answer, too: *no
# such edge here*. Detail is lost where the way is narrow, in the **poolings**, and only a little in the ReLUs.
#
# So for the content loss either name will do. Where a ReLU does matter is the *gradient*. Gatys' equations 1 and 2, for
# one layer:
#
# $$L = \tfrac12 \sum_{ij} (F_{ij} - P_{ij})^2, \qquad
# \frac{\partial L}{\partial F_{ij}} = \begin{cases} F_{ij} - P_{ij} & F_{ij} > 0 \\ 0 & F_{ij} < 0 \end{cases}$$
#
# Read it with care. $F$ comes out of a ReLU, so it is never negative; the second line only makes sense if the
# derivative is taken with respect to what goes *into* the ReLU. Call that `before`; then $F$ is `relu(before)`.
#
# **Exercise.** Write the gradient of $L$ with respect to `before`. `target` is $P$. All have the shape (N, C, H, W).
# No autograd: write the formula.


# %% tags=["exercise"]
def my_gradient(before, target):
    # SOLUTION
    return (F.relu(before) - target) * (before > 0)
    # END SOLUTION


# %%
check.content_gradient(my_gradient)

# %% [markdown]
# The check compared with the library's formula. Is that one right? Autograd knows:

# %%
device = features.device
with torch.no_grad():
    before = features(torch.rand(photo.shape, generator=torch.Generator().manual_seed(0)).to(device), ["conv3_1"])
    wanted = features(photo.to(device), ["relu3_1"])["relu3_1"]
before = before["conv3_1"].detach().requires_grad_()
(by_autograd,) = torch.autograd.grad(0.5 * content_loss(F.relu(before), wanted, "sum").sum(), before)
by_hand = exercises.content_gradient(before.detach(), wanted)  # what your answer was compared with
deaf = ((before <= 0) & (wanted > 0)).sum() / (wanted > 0).sum()
print(f"largest difference between eq. 2 and autograd: {(by_hand - by_autograd).abs().max():.1e}")
print(f"numbers of relu3_1 that should be positive, are zero at the start, and get no push: {deaf:.0%}")

# %% tags=["test"]
assert torch.allclose(by_hand, by_autograd, rtol=1e-4, atol=1e-4 * by_autograd.abs().max().item())
assert (by_autograd[before <= 0] == 0).all()
assert 0.01 < deaf < 0.99

# %% [markdown]
# Where a feature is missing altogether, the loss *sees* it, but the gradient of that number is zero: nothing says which
# way to go. It has to come back as a by-product of its neighbours. Enough neighbours get a push, so it works, but do
# not start a reconstruction with a picture for which *all* of a layer is silent.
#
# ## 8 · Which layer for the content?
#
# Style transfer needs a layer that holds on to *what is where* and does not care about the pixels, for these it wants
# to repaint. We now have a test for that: **start twice, from different noise.** What both pictures have in common was
# in the layer; where they differ, the layer leaves us free.

# %%
candidates = ["relu1_1", "relu2_1", "relu4_2", "relu5_1"]
twins = {name: [rebuild(name, seed=seed).image for seed in (0, 1)] for name in candidates}

# %%
pictures, titles = [], []
for name, (one, other) in twins.items():
    pictures += [one, other, (3 * (one - other).abs()).clamp(0, 1)]
    titles += [f"{name}, noise 1", f"{name}, noise 2", f"apart: {psnr(one, other):.0f} dB"]
show(pictures, titles, columns=6, width=7.8, caption="two starts, and three times their difference")

# %% [markdown]
# To put "arrangement" into a number: where are the edges? We take the strength of the edges in cells of 8 x 8 pixels,
# and compare the *maps* of two pictures by their correlation (1: edges in the same places; 0: unrelated).


# %%
def edges(picture):
    """How strong the edges are in each cell of 8 x 8 pixels."""
    grey = F.avg_pool2d(picture.mean(1, keepdim=True), 2)  # the finest grain is not an edge
    down, right = grey[:, :, 1:, :-1] - grey[:, :, :-1, :-1], grey[:, :, :-1, 1:] - grey[:, :, :-1, :-1]
    return F.avg_pool2d((down.square() + right.square()).sqrt(), 4)


def arrangement(a, b):
    a, b = edges(a).flatten(), edges(b).flatten()
    return F.cosine_similarity(a - a.mean(), b - b.mean(), dim=0).item()


unrelated = gallery.content("coffee", 2 * profile.size)[:, :, : photo.shape[2], : photo.shape[3]]
kept = {
    "same pixels (PSNR of the two, over 40)": {n: psnr(*twins[n]) / 40 for n in candidates},
    "same arrangement (edges of the two)": {n: arrangement(*twins[n]) for n in candidates},
    "the photo's arrangement": {n: arrangement(twins[n][0], photo) for n in candidates},
    "an unrelated photo, for comparison": dict.fromkeys(candidates, arrangement(unrelated, photo)),
}
figure = anatomy.lines(kept, "two starts: what do they share?", "1 = the same")
figure.axes[0].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)  # beside the lines, not on them
figure

# %% [markdown]
# **Your choice**: which of the four would you take for the content, if the pixels are to be repainted, but everything
# must stay in its place?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: content_layer = ...  # "relu1_1", "relu2_1", "relu4_2" or "relu5_1"
content_layer = "relu4_2"
# END SOLUTION

# %%
check.choice(
    "the content layer",
    content_layer,
    correct="relu4_2",
    explain={
        "relu1_1": "both starts end at nearly the same pixels: little would be left to repaint.",
        "relu2_1": "the two differ in grain only; apart from that it holds every pixel.",
        "relu4_2": "Gatys' choice, and report 003's. The arrangement is kept, and the pixels are free.",
        "relu5_1": "free it is, but look whether the two agree on where the edges are.",
    },
)

# %% tags=["test"]
assert psnr(*twins["relu1_1"]) > psnr(*twins["relu4_2"]) + 5
assert arrangement(*twins["relu4_2"]) > arrangement(*twins["relu5_1"])
assert arrangement(twins["relu4_2"][0], photo) > 0.3 + arrangement(unrelated, photo)

# %% [markdown]
# ## 9 · Your turn: the best you can get out of relu4_2
#
# Without a prior, `relu4_2` gave the picture above. **Open exercise.** Get a better one from the *same layer*: at least
# 1 dB more. `rebuild` takes a `prior`, a `start` ("noise", "grey" or a picture), an `optimizer`; with `reconstruct`
# you can change the steps, too. The photo itself is no honest start. There are several ways. Which is the best?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: better = ...  # your code here: a picture
better = rebuild("relu4_2", prior=1, init="grey").image
# END SOLUTION


# %%
def enough(picture):
    gain = psnr(picture.detach().cpu(), photo) - psnr(twins["relu4_2"][0], photo)
    if distance(picture, "conv4_1") == 0:
        return "this is the photo itself; draw it from the layer."
    return True if gain >= 1 else f"it is {gain:+.1f} dB against ours; 1 dB more is wanted."


check.picture(
    "better from relu4_2",
    better,
    shape=tuple(photo.shape[2:]),
    test=enough,
    hint=["Section 6 has two ways: a prior, and another start.", "Try prior=0.1, 1 and 10, from noise and from grey."],
    why="You know more about photos than the layer said. Any knowledge of that kind is a prior.",
)

# %% [markdown]
# How far can it go? Dosovitskiy and Brox (2016) *trained a network* to do it: it has learned what photos look like, and
# from deep layers draws blurred but plausible pictures at once. A learned prior; the tool of lesson 10.
#
# ## 10 · What the reports found
#
# **Report 003** says it in two sentences: "We find that reconstruction from lower layers is almost perfect. In higher
# layers of the network, detailed pixel information is lost while the high-level content of the image is preserved."
# (They are Gatys' own words.) Beside it, what we measured:

# %%
words = ["almost perfect", "almost perfect", "", "", "detail lost, content kept"]
heads = ["layer", "003 says", "from noise", "with a prior", "narrowest place", "arrangement kept"]
rows = [
    [
        name,
        said,
        f"{psnr(bare[name].image, photo):.1f} dB",
        f"{psnr(helped[name].image, photo):.1f} dB",
        f"{narrowest(name, widths):.2f}",
        f"{arrangement(helped[name].image, photo):.2f}",
    ]
    for name, said in zip(layers, words)
]
anatomy.Table(heads, rows)

# %% [markdown]
# | what a report says | what we found | where |
# |---|---|---|
# | 003: lower layers are almost perfect | yes, with a prior or a grey start; from bare noise grain remains | 3, 6 |
# | 003: in higher layers detailed pixel information is lost | yes, and partly it is only whispered | 5 |
# | 003: the high-level content is preserved | the *arrangement* is, up to block 4; in conv5_1 less and less | 8 |
# | 003: conv1_1 to conv5_1, before the ReLU | before or behind hardly matters | 7 |
# | 003: these five layers | as in Gatys' first text (2015); the paper of 2016 has conv1_2, conv2_2, ... | 3 |
# | 003: the loss is the "euclidean distance" | its formula is the *squared* distance, and that is what is used | 1 |
# | 003: conv4_2 is the content layer | a good choice: pixels free, arrangement kept | 8 |
# | 000: fewer units per layer as the filters become more | at first there are more numbers than in the picture, then fewer | 4 |
# | 000: the deeper, the more detail is lost, but content stays | yes, see the table | 6 |
#
# One thing depends on the weights. The compact network of this course is thin: the way to its `conv3_1` is narrower
# than the picture, that to the `conv4_1` of the full VGG-19 is not (section 4). So the deep layers of the full network
# can hold more detail than ours; `NST_PROFILE=gpu` shows how much of it comes back.
#
# ## Further reading
#
# - A. Mahendran, A. Vedaldi: [Understanding Deep Image Representations by Inverting Them](https://arxiv.org/abs/1412.0035),
#   CVPR 2015. Where it comes from; section 3 has the priors.
# - L. Gatys, A. Ecker, M. Bethge: [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576), 2015. Figure 1 is
#   this lesson.
# - A. Dosovitskiy, T. Brox: [Inverting Visual Representations with Convolutional Networks](https://arxiv.org/abs/1506.02753),
#   CVPR 2016. A network that draws it at once.
# - D. Ulyanov, A. Vedaldi, V. Lempitsky: [Deep Image Prior](https://arxiv.org/abs/1711.10925), CVPR 2018. The prior can be the
#   shape of a network that was never trained.
#
# **Next:** lesson 03, style reconstruction. Here we kept *where* and lost *how*. What if you forget where everything
# was?
