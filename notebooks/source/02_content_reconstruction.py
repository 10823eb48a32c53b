# %% [markdown] tags=["title"]
# # 02 · Content reconstruction
#
# *Question*: How much of a photo survives in each layer?
#
# *Time*: 55 minutes to read and work; computing: 2.5 minutes on a slow processor (AVX2), 2 on one with bfloat16.
#
# A layer of VGG turns a photo into activations. In this lesson you go the other way: you keep the activations of one
# layer, start from noise, and change the pixels until the noise has the same activations. What comes back was in the
# layer. What does not come back was lost on the way, or the optimizer did not find it. Telling these two apart is the
# harder half of the lesson.
#
# You need the content loss (lesson 00), reading activations (lesson 01), and PyTorch's optimizers. At the end you can
#
# - write the optimization loop of Gatys' method, the total variation, and the gradient of the content loss;
# - say for each layer which properties of a photo its activations determine;
# - test whether a bad result is due to the loss or due to an optimization that has not converged.

# %%
import torch
import torch.nn.functional as F

from nstlib import VGGFeatures, content_loss, reconstruct, total_variation
from nstlib.course import anatomy, check, curve, diagrams, exercises, figures, profile_for, show
from nstlib.course.interactive import slide, wipe
from nstlib.course.tasks import lesson_02 as solved
from nstlib.data import gallery
from nstlib.runtime import pick_device

profile = profile_for("02_content_reconstruction")
device = pick_device()
profile

# %% tags=["test"]
from nstlib.course.claims import lesson_02 as claims
from nstlib.runtime import profile as profile_in_force

scale = profile_in_force()  # "smoke", "cpu" or "gpu"

# %% [markdown]
# ## 1 · The loop
#
# Two parts of the method are known. `features(x, [layer])[layer]` reads the activations of a layer, as your hook in
# lesson 01 does. The content loss compares two of them. Here it is divided by the photo's own sum of squares:
#
# $$L = \frac{\sum (F - P)^2}{\sum P^2} \qquad\text{in code: } \texttt{content\_loss(F, P, "relative")}$$
#
# with $F$ the activations of the picture $x$ and $P$ those of the photo. 0 is a perfect match; 1 is the loss of
# activations that are all zero. The result has the shape (N,), one number per picture.

# %%
features = VGGFeatures(pooling="avg", precision="float32", device=device)  # bfloat16 would limit the longest runs
photo = gallery.content("astronaut", profile.size)  # (1, 3, H, W)
target = features(photo.to(device), ["conv3_1"])["conv3_1"]  # P: (1, C, H/4, W/4)
dark = features(0 * photo.to(device), ["conv3_1"])["conv3_1"]  # F of a black picture
print(
    f"photo {tuple(photo.shape)}, target {tuple(target.shape)}, loss {content_loss(dark, target, 'relative').item():.2f}"
)

# %% [markdown]
# A black picture has a loss of about 1: its activations are not zero, but they have little to do with the photo's.
#
# What is missing is the loop that changes the pixels. Only the *activations* of the photo enter the loss; its pixels are
# used once, to compute the target.

# %%
diagrams.method("content")

# %% [markdown]
# **Predict.** You start from noise and make 100 steps with Adam. The layer is `conv3_1`. What will you get?
#
# - `"a"` outlines only, without the colors of the photo
# - `"b"` the photo, covered with grain
# - `"c"` a picture that you cannot tell from the photo

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_first = ...  # "a", "b" or "c"
guess_first = "b"
# END SOLUTION

# %% [markdown]
# **Exercise.** Write the loop.
#
# - Compute the target once, before the loop. It is a constant: record no gradient for it.
# - Start from uniform noise in [0, 1] of the photo's shape. These pixels are the parameters of `torch.optim.Adam`.
# - Each of the `steps` steps computes the relative content loss of the present picture (nothing else) and its gradient,
#   makes one step of Adam, and then clamps the pixels to [0, 1]. The clamp must not be part of the graph: use `torch.no_grad()`.
# - Return the picture without a gradient.
#
# `features` is an argument: the check passes a small network of its own, and watches what you do with it.


# %% tags=["exercise"]
def my_reconstruct(photo, layer, features, steps, rate=0.05):
    """Return a picture (1, 3, H, W) whose activations in a layer resemble those of photo (1, 3, H, W)."""
    # SOLUTION
    with torch.no_grad():
        target = features(photo, [layer])[layer]  # (1, C, h, w)
    x = torch.rand_like(photo).requires_grad_()  # (1, 3, H, W)
    optimizer = torch.optim.Adam([x], lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        activations = features(x, [layer])[layer]  # (1, C, h, w)
        loss = content_loss(activations, target, "relative").sum()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()
    # END SOLUTION


# %%
loop = check.function("reconstruct_from_layer", my_reconstruct)
loop

# %% [markdown]
# Now your own reconstruction (the course's loop until yours is right). The same seed gives the same noise, so the three
# pictures are three moments of one run (the slider works on saved pages, too):

# %%
run_loop = my_reconstruct if loop.ok else solved.rebuild
moments = {}
for steps in (10, 30, 100):
    torch.manual_seed(0)
    moments[f"step {steps}"] = run_loop(photo.to(device), "conv3_1", features, steps, rate=0.05).cpu()
whose = "your loop" if loop.ok else "our loop"
slide(moments, whose, side=288)

# %%
check.choice("first reconstruction", guess_first)

# %% [markdown]
# The loop knows nothing about astronauts, and the photo's pixels were never compared with anything. Edges and colors of
# the photo are in the activations of `conv3_1`, at the right positions.
#
# **A number for the quality.** Within this lesson we may look at the photo, to measure. The usual measure is the peak
# signal-to-noise ratio. For pixels in [0, 1]:
#
# $$\text{PSNR}(a, b) = 10\,\log_{10}\frac{1}{\text{mean}\,(a - b)^2}\ \text{dB}$$
#
# Ten decibels more mean a tenth of the squared error. The slider shows what the numbers look like:


# %%
def psnr(a, b):
    """Peak signal-to-noise ratio in decibels of two pictures in [0, 1]."""
    return (-10 * (a - b).square().mean().log10()).item()


noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(1))
noisy = {amount: (photo + amount * noise).clamp(0, 1) for amount in (0.01, 0.03, 0.1, 0.4)}
slide({f"{psnr(noisy[a], photo):.0f} dB": noisy[a] for a in (0.03, 0.1, 0.4)}, "photo with noise", side=256)

# %% [markdown]
# **Adam or L-BFGS?** The library's `reconstruct` does what your loop does, with the optimizer L-BFGS by default (lesson
# 05 compares optimizers). `content_weight=1` and `tv_weight=0` make its loss the relative content loss alone. A step of
# either optimizer is one evaluation of the loss and its gradient here, and both make 100, from the same kind of noise:

# %%
by_library = reconstruct(photo, "conv3_1", features=features, steps=100, content_weight=1, tv_weight=0)


def layer_loss(picture, layer):
    """The relative content loss of a picture in a layer."""
    maps = features(torch.cat([picture, photo]).to(device), [layer])[layer]  # (2, C, h, w)
    return content_loss(maps[:1], maps[1:], "relative").item()


optimized = {f"Adam, {whose}": moments["step 100"], "L-BFGS, the library": by_library.image}
rows = [[name, f"{layer_loss(p, 'conv3_1'):.1e}", f"{psnr(p, photo):.1f} dB"] for name, p in optimized.items()]
anatomy.Table(["optimizer, 100 evaluations", "content loss", "PSNR"], rows)

# %% tags=["test"]
claims.lbfgs_lowers_the_loss_further_than_adam(*(layer_loss(p, "conv3_1") for p in optimized.values()))
claims.a_hundred_steps_leave_grain(psnr(moments["step 100"], photo))

# %% [markdown]
# With the same number of evaluations, L-BFGS ends at a several times smaller loss. For the comparisons below we use it.
#
# ## 2 · Five layers
#
# Report 003 reconstructs a photo from the first convolution of each block, as Gatys' figure does. **Predict**: what will
# come back from `conv4_1`, after eight earlier convolutions and three poolings?
#
# - `"a"` a blur: the right colors, no edges
# - `"b"` the photo with some grain
# - `"c"` everything in its place, with wrong details

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_conv4 = ...  # "a", "b" or "c"
guess_conv4 = "c"
# END SOLUTION


# %%
def rebuild(layer, prior=0.0, steps=profile.steps, **options):
    """A reconstruction of the photo with L-BFGS, from noise unless ``init`` is given."""
    return reconstruct(photo, layer, features=features, steps=steps, content_weight=1, tv_weight=prior, **options)


layers = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
bare = {name: rebuild(name) for name in layers}

# %%
from_layers = {f"{name}, {psnr(bare[name].image, photo):.1f} dB": bare[name].image for name in layers}
slide({"photo": photo} | from_layers, "reconstructed from", side=288)

# %%
check.choice("what comes back from conv4_1", guess_conv4)

# %% tags=["test"]
claims.quality_falls_from_the_first_layer_to_the_last({name: psnr(bare[name].image, photo) for name in layers}, scale)

# %% [markdown]
# From `conv1_1` the photo comes back almost perfectly. From `conv2_1` and `conv3_1` it comes back with grain. From
# `conv4_1` the suit, the badge and the flag are in their places, but the face is not hers. From `conv5_1` colors and
# textures are not the photo's at all; the outlines of head, badge and helmet can be recognized.
#
# Report 003 writes that "reconstruction from lower layers is almost perfect". Why the grain, then? Sections 3 to 5 look
# for the reason. First, the losses:

# %%
curve({name: run.records for name, run in bare.items()}, "every run lowers its loss")

# %% [markdown]
# ## 3 · Is it the layer or the optimizer?
#
# There are two explanations for a bad reconstruction. **The layer**: its activations are (nearly) the same for the bad
# picture and for the photo, so that no optimizer could prefer the photo. **The optimizer**: it stopped before it reached
# the minimum. We need an experiment that separates the two. First, compare three pictures:

# %%
padded = F.pad(photo, (2, 2, 2, 2), mode="replicate")
compared = {
    "noise": noisy[0.1],
    "blur": F.avg_pool2d(padded, 5, stride=1),
    "reconstruction": bare["conv5_1"].image,
}
anatomy.Table(["picture", "PSNR"], [[name, f"{psnr(p, photo):.1f} dB"] for name, p in compared.items()])

# %% [markdown]
# **Predict.** Which of them has the smallest content loss in `conv5_1`: `"noise"`, `"blur"` or `"reconstruction"`?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_nearest = ...
guess_nearest = "reconstruction"
# END SOLUTION

# %%
in_conv5 = {name: layer_loss(p, "conv5_1") for name, p in compared.items()}
in_conv5["noise of 40 dB"] = layer_loss(noisy[0.01], "conv5_1")
figures.bars(in_conv5, title="content loss in conv5_1")

# %%
check.choice("nearest for conv5_1", guess_nearest)

# %% tags=["test"]
claims.the_reconstruction_is_nearer_than_noise_and_blur(in_conv5, scale)
claims.a_picture_with_a_smaller_loss_exists(in_conv5, scale)

# %% [markdown]
# That the reconstruction is near the photo in `conv5_1` is no surprise: it was optimized for that. The surprise is that a
# picture which shares so little with the photo is many times nearer to it there than a noisy or a blurred photo. So *the
# layer* is one cause: it hardly responds to differences that we find large.
#
# But the last bar shows that *the optimizer* is another: the photo with almost invisible noise (40 dB) has a smaller
# loss than our reconstruction. There are better pictures, and the run did not reach them. What do more steps achieve?
#
# **Predict.** We continue the run of `conv5_1`, which has made 150 steps, for 300 more (in the profile `cpu`). By which
# factor will the content loss fall? And by how many decibels will the PSNR rise?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_factor = ...  # how many times smaller the loss is
# STUDENT: guess_gain = ...  # dB
guess_factor = 3
guess_gain = 1
# END SOLUTION

# %%
longer = {name: rebuild(name, init=bare[name].image, steps=2 * profile.steps) for name in ("conv4_1", "conv5_1")}
rows, falls, rises = [], {}, {}
for name, run in longer.items():
    pair = [bare[name].image, run.image]
    losses, decibels = [layer_loss(p, name) for p in pair], [psnr(p, photo) for p in pair]
    falls[name], rises[name] = losses[0] / losses[1], decibels[1] - decibels[0]
    rows.append([name, *(f"{value:.1e}" for value in losses), *(f"{value:.1f} dB" for value in decibels)])
heads = ["layer", f"loss, {profile.steps} steps", f"loss, {3 * profile.steps} steps", "PSNR before", "PSNR after"]
anatomy.Table(heads, rows)

# %%
check.prediction("factor of the loss", guess_factor, falls["conv5_1"])

# %%
check.prediction("gain of the longer run", guess_gain, rises["conv5_1"], "dB")

# %%
labels = f"conv4_1, {profile.steps} steps", f"{3 * profile.steps} steps"
wipe(bare["conv4_1"].image, longer["conv4_1"].image, labels, side=320)

# %% tags=["test"]
claims.more_steps_still_lower_the_loss_of_deep_layers(falls)
claims.more_steps_help_conv4_more_than_conv5(rises, scale)

# %% [markdown]
# In both layers the loss still falls, to less than half in `conv5_1` and further in `conv4_1`. So the runs of section 2
# **had not converged**, and a part of what we saw there is due to the optimizer. The pictures differ in what this means:
#
# - In `conv4_1` the picture becomes better, too: the PSNR rises by about two decibels (profile `cpu`), and details
#   become clearer.
# - In `conv5_1` the PSNR rises by less than one decibel. The loss falls while the picture hardly comes nearer to the
#   photo, so the loss depends little on what is still wrong. That speaks for the layer as the main cause. It is no proof:
#   even now the loss is larger than that of the photo with weak noise, and a much longer run might find a better picture.
#
# A small loss alone therefore does not say that a reconstruction is good, and a bad picture alone does not say that the
# layer has lost the photo. Look at both, and at longer runs.
#
# ## 4 · Which changes of the pixels does a layer respond to?
#
# Near one picture, a layer is approximately linear: a small change $d$ of the pixels changes the activations by $J d$, with
# the matrix of derivatives $J = \partial F / \partial x$ (the *Jacobian*). We take a patch of 16 x 16 pixels: 768 values, so
# 768 independent directions in which it can change.
#
# Among all directions $d$ of length 1, take the one for which $J d$ is longest. The length of $J d$ is its **gain**. Then
# take the direction with the largest gain among those that are perpendicular to the first, and so on: 768 directions,
# sorted by their gain. They are the singular vectors of $J$, and the gains are its singular values. A small example: for
# $J = \begin{pmatrix} 3 & 0 \\ 0 & 0 \end{pmatrix}$ the directions are $(1, 0)$ with gain 3 and $(0, 1)$ with gain 0. Of the
# second pixel, nothing is in the activations.
#
# Before you compute gains, count. These are the shapes of the activations for the patch, for a few layers on the way:

# %%
top, left = round(0.16 * photo.shape[2]), round(0.4 * photo.shape[3])
patch = photo[:, :, top : top + 16, left : left + 16].to(device)  # (1, 3, 16, 16), part of the face
way = ["conv1_1", "pool1", "conv2_1", "pool2", "conv3_1", "pool3", "conv4_1", "pool4", "conv5_1"]
shapes = {name: tuple(maps.shape[1:]) for name, maps in features(patch, way).items()}
anatomy.Table(["layer", "activations (C, h, w)"], [[name, str(shapes[name])] for name in way])

# %% [markdown]
# **Question.** How many of the 768 directions can have a gain in `conv4_1` that is not zero, at most? All information
# passes through every layer of the table.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: at_most = ...  # a number of directions
at_most = min(768, shapes["pool3"][0] * 2 * 2)
# END SOLUTION

# %%
check.number("directions of conv4_1", at_most, *(shapes[name] for name in way[: way.index("conv4_1") + 1]))


# %%
def gains_of(layer):
    """The 768 directions of the patch, largest gain first, and the gains relative to the largest."""
    x = patch.clone().requires_grad_()
    maps = features(x, [layer])[layer]
    rows = torch.eye(maps.numel(), device=device).view(-1, *maps.shape)
    (jacobian,) = torch.autograd.grad(maps, x, rows, is_grads_batched=True)
    jacobian = jacobian.flatten(1).cpu().double()  # (values of the layer, 768)
    squares, vectors = torch.linalg.eigh(jacobian.T @ jacobian)  # the squares of the gains, smallest first
    gains = squares.clamp(min=0).flip(0).sqrt()
    gains[len(jacobian) :] = 0  # at most as many as rows are not zero; what is here is rounding
    return vectors.T.flip(0).float(), (gains / gains[0]).float()


directions, gains = {}, {}
for name in layers:
    directions[name], gains[name] = gains_of(name)

# %%
figure, (ax,) = anatomy.panels(1, height=3.2)
for color, (name, gain) in zip(figures.COLOURS, gains.items()):
    ax.plot(range(1, 769), gain.clamp(min=1e-9), color=color, label=name)
ax.set(yscale="log", ylim=(1e-6, 2), xlabel="direction, sorted by gain", ylabel="gain / largest gain")
ax.set_title("gains of the 768 directions of a patch: the deeper the layer, the fewer large ones", loc="left")
figures.draw_legend(ax)
figure

# %%
kinds = {"1/20 or more": (0.05, 2.0), "between": (1e-5, 0.05), "below 1/100,000": (-1.0, 1e-5)}
counted = {k: [int(((g > a) & (g <= b)).sum()) for g in gains.values()] for k, (a, b) in kinds.items()}
bound = {name: solved.most_directions(*(shapes[n] for n in way[: way.index(name) + 1])) for name in layers}
rows = [[name, *(counted[kind][i] for kind in kinds), f"{bound[name]:.0f}"] for i, name in enumerate(layers)]
anatomy.Table(["layer: directions with a gain of", *kinds, "not zero, at most"], rows)

# %% tags=["test"]
claims.deeper_layers_have_fewer_large_gains(counted["1/20 or more"])
claims.counting_bounds_the_number_of_gains(gains, shapes)
claims.the_first_layer_has_no_small_gain(counted["below 1/100,000"][0])

# %% [markdown]
# What do the numbers mean?
#
# - **Gain zero.** A small change in such a direction changes no activation, to first order. From `conv3_1` on, counting
#   alone guarantees such directions in the compact network: `pool2` passes on only 512 values. (`conv3_1` has more
#   values again, but they are all computed from these.) Where a ReLU outputs zero, directions are lost in addition.
# - **Small gain.** The change is in the activations, but the loss hardly grows with it. Gradient descent reduces the
#   error in a direction at a rate proportional to the *square* of its gain: at a twentieth of the gain it needs 400
#   times as many steps. L-BFGS does better, but not without limit. A gain of 1e-5 is not zero: with perfect
#   arithmetic and enough steps, the change could be recovered. In float32 it is lost in rounding.
#
# What do the directions look like? Three with the largest and three with the smallest gains above 1e-5 of `conv2_1`:


# %%
def pattern(vector):
    """A direction as a picture; gray is no change."""
    small = (0.5 + 0.5 * vector / vector.abs().max()).view(1, 3, 16, 16)
    return small.repeat_interleave(16, 2).repeat_interleave(16, 3)


last = int((gains["conv2_1"] > 1e-5).sum())
chosen = [0, 1, 2, last - 3, last - 2, last - 1]
show({f"number {i + 1}": pattern(directions["conv2_1"][i]) for i in chosen}, columns=6)

# %% tags=["test"]
claims.small_gains_are_fine_patterns(directions["conv2_1"], chosen)

# %% [markdown]
# Large gains belong to broad changes of brightness and color, small ones to fine patterns that change from pixel to
# pixel. **That is the grain.** The noise at the start contains all directions equally. The run corrected those with
# large gains; the others still are as they were.
#
# **How far does a local analysis hold?** Take the directions to which `conv5_1` does not respond at all, to first order,
# and add a random mixture of them to the patch, at different strengths. Compare it with arbitrary noise of equal
# strength.
#
# **Predict.** For a strength of 0.1 (a tenth of the range of the pixels), how large is the response to the "invisible"
# mixture, as a share of the response to noise? Give a number from 0 to 1.

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_share = ...  # 0 to 1
guess_share = 0.3
# END SOLUTION

# %%
null = directions["conv5_1"][gains["conv5_1"] == 0]  # (number, 768)
random = torch.randn(768, generator=torch.Generator().manual_seed(0))
in_null = null.T @ (null @ random)  # the part of the noise that lies in these directions
changes = {"noise": random, "mixture of gain-zero directions": in_null}


def response(change, strength, layer="conv5_1"):
    """Relative change of the activations for a change of the patch with this standard deviation."""
    changed = patch + strength * (change / change.std()).view_as(patch).to(patch)
    before, after = (features(p, [layer])[layer].detach() for p in (patch, changed))
    return ((after - before).norm() / before.norm()).item()


responses = {
    name: {f"{s:g}": response(change, s) for s in (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)}
    for name, change in changes.items()
}
anatomy.lines(
    responses, "the mixture is invisible only as a small change", "change of conv5_1", True, "strength (pixels)"
)

# %%
strong = [responses[name]["0.1"] for name in changes]
check.prediction("share of the invisible mixture", guess_share, strong[1] / strong[0])

# %% tags=["test"]
claims.the_gain_zero_mixture_is_invisible_only_while_small(*responses.values())

# %% [markdown]
# While the change is small, the mixture is nearly invisible to `conv5_1`. At a strength of 0.1 the response to it is more
# than half of that to noise. The reason is the ReLUs: which of them are active depends on the picture, and a larger
# change switches some of them, so that the Jacobian is another one. The analysis is **local**. It tells which *small*
# changes of *this* patch are free. It does not prove that a property of the photo is lost for good; that very different
# pictures have nearly the same activations in `conv5_1` was shown by the experiment of section 3.
#
# ## 5 · A prior: what photos look like
#
# Where the loss cannot decide, something else may. Mahendran and Vedaldi (2015) added a second term, which prefers
# pictures that look like photos. In photos neighboring pixels are similar, so they used the **total variation**, the
# mean squared difference of neighbors, with a weight $w$:
#
# $$L = \frac{\sum (F - P)^2}{\sum P^2} + w\,\Big(\overline{(x_{i+1,j} - x_{ij})^2} + \overline{(x_{i,j+1} - x_{ij})^2}\Big)$$
#
# A bar is the mean over the colors and over all pairs of vertical (or horizontal) neighbors of one picture. Pixels at
# the border have a neighbor on one side only.
#
# **Exercise.** Write the total variation, the term in parentheses, for each picture of a batch.


# %% tags=["exercise"]
def my_total_variation(images):
    """Return the total variation (N,) of images (N, 3, H, W)."""
    # SOLUTION
    vertical = images[:, :, 1:] - images[:, :, :-1]  # (N, 3, H - 1, W)
    horizontal = images[:, :, :, 1:] - images[:, :, :, :-1]  # (N, 3, H, W - 1)
    return vertical.square().mean(dim=(1, 2, 3)) + horizontal.square().mean(dim=(1, 2, 3))
    # END SOLUTION


# %%
variation = check.total_variation(my_total_variation)
variation

# %%
measure = my_total_variation if variation.ok else total_variation
roughness = {"photo": photo, f"step 100 of {whose}": moments["step 100"], "noise": torch.rand_like(photo)}
figures.bars({name: measure(picture).item() for name, picture in roughness.items()}, title="total variation")

# %% [markdown]
# We add it with the small weight $w = 0.1$ (`tv_weight` in the library). **Predict**: for which layer does it raise the
# PSNR *least*?
#
# - `"a"` `conv1_1`: the reconstruction is good already
# - `"b"` `conv3_1`: it is in the middle
# - `"c"` `conv5_1`: although it needs help most

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_prior = ...  # "a", "b" or "c"
guess_prior = "c"
# END SOLUTION

# %%
helped = {name: rebuild(name, prior=0.1) for name in layers}
slide({f"{n}, {psnr(run.image, photo):.1f} dB": run.image for n, run in helped.items()}, "with the prior", side=288)

# %%
both = {
    "content loss only": {name: psnr(bare[name].image, photo) for name in layers},
    "with total variation, w = 0.1": {name: psnr(helped[name].image, photo) for name in layers},
}
anatomy.lines(both, "the prior helps the low layers most", "PSNR in dB", xlabel="layer")

# %%
check.choice("where the prior helps least", guess_prior)

# %%
side, left, top = 3 * profile.size // 8, round(0.27 * profile.size), round(0.02 * profile.size)
pair = {"conv3_1, content loss only": bare["conv3_1"].image, "conv3_1, with the prior": helped["conv3_1"].image}
details = {name: p[..., top : top + side, left : left + side] for name, p in (pair | {"photo": photo}).items()}
show(details, columns=3, caption="the head, enlarged")

# %% tags=["test"]
claims.the_prior_helps_every_layer_and_conv5_least(*both.values())

# %% [markdown]
# Now the low layers are almost perfect, as report 003 says, and the quality falls from layer to layer. The prior chooses
# among the pictures that the activations leave possible. It cannot know what the photo was: in `conv5_1` the fine grain
# is gone, too, but the smooth shapes that replace it are not the photo's.
#
# What does the second term do to the first? Content loss alone, at the end of each run:

# %%
rows = [[n, f"{bare[n].best.content_total:.1e}", f"{helped[n].best.content_total:.1e}"] for n in layers]
anatomy.Table(["layer", "content loss only", "with the prior"], rows)

# %% tags=["test"]
claims.the_prior_costs_content_loss_in_low_layers_and_lowers_it_in_conv5(bare, helped, scale)

# %% [markdown]
# (Profile `cpu`.) In `conv1_1` and `conv2_1` the content loss ends *higher* with the prior. These runs are close to the minimum of the
# content loss, and there a second term can only cost. In `conv4_1` and `conv5_1` it ends *lower*, although the optimizer
# now has another term to minimize. That is possible only because the runs without prior had not converged (section 3):
# the prior removes the noise of the start at once and so shortens the way. In deep layers it therefore does two things:
# it chooses among the pictures that the layer leaves possible, and it helps the optimizer.
#
# More of the prior is not better. The same layer, `conv4_1`, with three weights:

# %%
swept = {"0": bare["conv4_1"], "0.1": helped["conv4_1"], "10": rebuild("conv4_1", prior=10)}
labels = {w: f"w = {w}, {psnr(r.image, photo):.1f} dB, loss {r.best.content_total:.1e}" for w, r in swept.items()}
slide({labels[w]: run.image for w, run in swept.items()}, "conv4_1 with", side=288)

# %% tags=["test"]
claims.too_much_prior_costs_content(swept)

# %% [markdown]
# With $w = 10$ the picture is smooth, and its content loss is larger: the prior overrides what the layer does determine.
#
# **The start is a prior, too.** A start that contains no grain leaves none behind. `conv3_1` once more, without total
# variation, from gray:

# %%
gray = rebuild("conv3_1", init="grey")
starts = {"noise": bare["conv3_1"], "gray": gray, "noise, w = 0.1": helped["conv3_1"]}
anatomy.Table(
    ["conv3_1, start", "content loss", "PSNR"],
    [[n, f"{run.best.content_total:.1e}", f"{psnr(run.image, photo):.1f} dB"] for n, run in starts.items()],
)

# %% tags=["test"]
claims.a_gray_start_helps(psnr(bare["conv3_1"].image, photo), psnr(gray.image, photo))

# %% [markdown]
# "How much can be reconstructed from a layer" is therefore not a property of the layer alone. A statement about it must
# name the start, the prior, the optimizer and the number of steps. Report 003 names none of them; Gatys' figure starts
# from white noise.
#
# ## 6 · What the ReLU removes
#
# Report 003 uses the names of convolutions. In many programs what is read is the output after the ReLU, `relu3_1`. The
# ReLU sets all negative activations to zero.
#
# **Predict.** How many decibels does the reconstruction from `relu3_1` lose against `conv3_1`, both with the prior?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: guess_relu = ...  # dB
guess_relu = 3
# END SOLUTION

# %%
pairs = {"conv3_1": "relu3_1", "conv4_1": "relu4_1"}
after = {name: rebuild(relu, prior=0.1) for name, relu in pairs.items()}
rows, cost = [], {}
for name, relu in pairs.items():
    zeros = (features(photo.to(device), [name])[name] <= 0).float().mean().item()
    decibels = psnr(helped[name].image, photo), psnr(after[name].image, photo)
    cost[name] = decibels[0] - decibels[1]
    rows.append([f"{name}, {relu}", f"{zeros:.0%}", *(f"{value:.1f} dB" for value in decibels)])
anatomy.Table(["layer", "set to zero", "PSNR before the ReLU", "PSNR after it"], rows)

# %%
check.prediction("cost of the ReLU", guess_relu, cost["conv3_1"], "dB")

# %% tags=["test"]
claims.the_relu_costs_little(cost)

# %% [markdown]
# In `conv3_1` the ReLU costs less than one decibel, although it sets about a third of the values to zero. (The picture can
# even be a little better after it: a run of some steps is not the minimum.) The activations of a layer are not
# independent: many of them depend on the same pixels, so what one channel loses is contained in others. A zero is information as well: the pattern of this channel does not occur here.
#
# Where the ReLU does matter is the gradient. Gatys' equations 1 and 2, for one layer of one picture, with the channel $i$
# and the position $j$:
#
# $$L = \tfrac12 \sum_{ij} (F_{ij} - P_{ij})^2, \qquad
# \frac{\partial L}{\partial F_{ij}} = \begin{cases} F_{ij} - P_{ij} & F_{ij} > 0 \\ 0 & F_{ij} < 0 \end{cases}$$
#
# $F$ is the output of a ReLU, so it is never negative, and the second case makes sense only if the derivative is taken
# with respect to the *input* of the ReLU. Call it `before`; then $F$ is `relu(before)`.
#
# **Exercise.** Write the gradient of $L$ with respect to `before`, by formula, without autograd. `target` is $P$.


# %% tags=["exercise"]
def my_gradient(before, target):
    """Return the gradient (N, C, H, W) of L; both arguments have that shape."""
    # SOLUTION
    return (F.relu(before) - target) * (before > 0)
    # END SOLUTION


# %%
formula = check.content_gradient(my_gradient)
formula

# %% [markdown]
# What does this mean for a run that starts from noise? We count the activations of `relu3_1` that should be positive
# but are zero at the start, so that their own gradient is zero:

# %%
start = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
before = features(start.to(device), ["conv3_1"])["conv3_1"]
wanted = features(photo.to(device), ["relu3_1"])["relu3_1"]
gradient = (my_gradient if formula.ok else exercises.content_gradient)(before, wanted)
stuck = ((wanted > 0) & (gradient == 0)).sum() / (wanted > 0).sum()
print(f"{stuck:.0%} of the activations that should be positive have gradient zero at the start")

# %% tags=["test"]
claims.activations_below_zero_get_no_gradient(before, wanted, gradient)
claims.a_part_of_the_activations_starts_without_gradient(stuck.item())

# %% [markdown]
# For these the loss is larger than zero, but its gradient does not say in which direction to go. They change only
# because other activations, which depend on the same pixels, move the pixels. That is enough here. A start for which
# *all* activations of a layer are zero would never move.
#
# ## 7 · Which layer for the content?
#
# Style transfer needs a layer that determines *where things are*, and leaves the pixels free to be repainted. That can
# be tested: **reconstruct twice, from different noise.** What both pictures share was determined by the layer (and by
# the prior); where they differ, the layer leaves freedom, or the runs have not converged.

# %%
candidates = ["conv2_1", "conv4_1", "conv5_1"]
twins = {name: (helped[name].image, rebuild(name, prior=0.1, seed=1).image) for name in candidates}
shown = {f"{name}, noise {i + 1}": twins[name][i] for name in candidates[1:] for i in (0, 1)}
slide(shown, "reconstructed from", side=288)

# %% [markdown]
# For "where things are" we need a number as well: where are the edges? We take the strength of the edges in cells of
# 8 x 8 pixels and compute the correlation of these maps for two pictures. 1: edges in the same places; 0: unrelated.


# %%
def edges(picture):
    """Strength of the edges in each cell of 8 x 8 pixels, (1, 1, H/8, W/8)."""
    gray = F.avg_pool2d(picture.mean(1, keepdim=True), 2)  # removes the finest grain
    down, right = gray[:, :, 1:, :-1] - gray[:, :, :-1, :-1], gray[:, :, :-1, 1:] - gray[:, :, :-1, :-1]
    return F.avg_pool2d((down.square() + right.square()).sqrt(), 4)


def arrangement(a, b):
    """Correlation of the edge maps of two pictures."""
    return torch.corrcoef(torch.stack([edges(a).flatten(), edges(b).flatten()]))[0, 1].item()


unrelated = gallery.content("coffee", 2 * profile.size)[:, :, : photo.shape[2], : photo.shape[3]]
shared = {n: (psnr(*twins[n]), arrangement(*twins[n]), arrangement(twins[n][0], photo)) for n in candidates}
rows = [[n, f"{p:.1f} dB", f"{runs:.2f}", f"{one:.2f}"] for n, (p, runs, one) in shared.items()]
rows.append(["another photo", f"{psnr(unrelated, photo):.1f} dB", "", f"{arrangement(unrelated, photo):.2f}"])
anatomy.Table(["layer", "PSNR between run 1 and run 2", "arrangement: run 1 and run 2", "arrangement: run 1 and photo"], rows)

# %% [markdown]
# **Question.** Everything must stay in its place, and the pixels are to be repainted. Which of the three do you take for
# the content: `"conv2_1"`, `"conv4_1"` or `"conv5_1"`?

# %% tags=["exercise"]
# SOLUTION
# STUDENT: content_layer = ...
content_layer = "conv4_1"
# END SOLUTION

# %%
check.choice("layer for the content", content_layer)

# %% tags=["test"]
claims.conv4_keeps_the_arrangement_and_frees_the_pixels(shared, arrangement(unrelated, photo), scale)

# %% [markdown]
# `conv2_1` determines nearly every pixel: both runs end at almost the same picture. In `conv4_1` the pixels of the two
# runs differ, but the edges are where they are in the photo. In `conv5_1` the agreement with the photo's edges is
# clearly smaller: outlines remain, and much of the rest is not the photo's. Gatys and report 003 take `conv4_2`, the
# layer after our `conv4_1`.
#
# ## 8 · Your turn: a better picture from the same activations
#
# **Open exercise.** Write a function that makes a picture from activations alone. It gets the target instead of the
# photo, so the photo cannot help. The check calls it with activations of two photos that you do not see, in layer
# `relu3_1`. Your picture must be clearly nearer to the hidden photo than the loop of section 1 gets in the same number
# of steps (at least 1.5 dB), and its activations must still match: a relative content loss of at most 0.15. A step is
# one call of `features` with a picture that requires a gradient; the check counts them.


# %% tags=["exercise"]
def my_better(target, layer, features, shape, steps):
    """Return a picture (1, 3, H, W) = shape whose activations in layer resemble target (1, C, h, w)."""
    # SOLUTION
    x = torch.full(shape, 0.5, device=target.device).requires_grad_()  # (1, 3, H, W)
    optimizer = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = content_loss(features(x, [layer])[layer], target, "relative") + 2 * my_total_variation(x)
        loss.sum().backward()
        optimizer.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return x.detach()
    # END SOLUTION


# %%
better = check.function("a better picture from activations", my_better)
better

# %%
improve = my_better if better.ok else solved.rebuild_with_prior
wanted = features(photo.to(device), ["relu3_1"])["relu3_1"]
improved = improve(wanted, "relu3_1", features, tuple(photo.shape), 100).cpu()
labels = [f"{name}: {psnr(p, photo):.1f} dB" for name, p in (("section 1", moments["step 100"]), ("now", improved))]
wipe(moments["step 100"], improved, tuple(labels), side=320)

# %% tags=["test"]
claims.the_own_prior_helps(psnr(moments["step 100"], photo), psnr(improved, photo))

# %% [markdown]
# You know more about photos than the activations contain; each such assumption is a prior. Dosovitskiy and Brox (2016)
# *trained a network* to reconstruct photos from activations. It has learned what photos look like, and from deep layers
# it makes blurred but plausible pictures in one forward pass.
#
# ## 9 · What the reports found
#
# | a report says | we found | section |
# |---|---|---|
# | 003: "reconstruction from lower layers is almost perfect" | yes, with a prior; without one, grain remains from `conv2_1` on | 2, 5 |
# | 003: "in higher layers [...] detailed pixel information is lost" | yes, in part: some is lost, some only has a small gain, and some runs had not converged | 3, 4 |
# | 003: "the high-level content of the image is preserved" | the arrangement is, in `conv4_1`; in our `conv5_1` outlines remain, with foreign colors and textures | 2, 7 |
# | 003: conv1_1 to conv5_1, before the ReLU | before or after the ReLU makes little difference | 6 |
# | 003: the loss is the "euclidean distance" | its formula is the *squared* distance, which is what all use | 1 |
# | 003: conv4_2 is the content layer | the next layer after our `conv4_1`: arrangement kept, pixels free | 7 |
# | 000: "decrease in the total number of units per layer" | not in the first layers: `conv1_1` has more values than the picture | 4 |
# | 000: "the image suffers from severe detail loss, but the content [...] is preserved" | as 003 | 2, 7 |
#
# **A limit of our network.** The compact network is thin (`conv3_1` has 80 channels, in VGG-19 it has 256). Up to
# `conv3_4` it was trained to reproduce the activations of the real VGG-19. Its blocks 4 and 5 never saw the real ones;
# they were trained to classify small pictures of 202 classes. What we found for `conv4_1` and `conv5_1` holds for these
# layers, and not necessarily for those of VGG-19. (Longer training of these two blocks was tried. It made content
# reconstruction better and style from `pool4` and `pool5` worse; the network's model card has the numbers.)

# %% [markdown] tags=["solution-only"]
# The same experiment **made with the real VGG-19**, whose layers we have up to `conv3_4` (the numbers are in the titles):
#
# ![Reconstructions of a photo from conv1_1, conv2_1 and conv3_1 of the real VGG-19](../../docs/images/real_vgg19/B1_content.jpg)

# %% [markdown]
# ## What you can do now
#
# - You can write the loop that optimizes pixels with Adam, the total variation, and the gradient of the content loss.
# - You can say what each layer determines: almost every pixel, the arrangement with wrong details, or outlines.
# - You can separate what a loss does not determine from what an optimizer has not reached yet.
#
# ## Three questions
#
# 1. A reconstruction has a content loss of 0.005, and the photo with invisible noise has 0.0003. What follows about the
#    optimizer? What follows about the layer?
# 2. Why can adding the total variation to the loss lower the *content* loss at the end of a run? Why can it not at the
#    minimum?
# 3. A classmate starts the loop from a black picture and uses a layer after a ReLU in which every activation of a black
#    picture is zero. What happens, and why?

# %% [markdown] tags=["solution-only"]
# **Model answers**
#
# 1. The optimizer has not reached the minimum, because a picture with a smaller loss exists (and the photo itself has
#    loss 0). About the layer nothing follows yet: for that, the *pictures* must be compared. If the reconstruction looks
#    very different and its loss is nevertheless far below that of visibly similar pictures, the layer hardly responds to
#    the differences.
# 2. The run is not at the minimum when it ends. The prior changes the way: it removes fine noise at once, for which the
#    content loss alone has only small gradients, so that the same number of steps leads to a smaller content loss. At
#    the minimum of the content loss alone no other picture has a smaller one, so there the prior can only raise it.
# 3. Nothing: the gradient is zero for every activation, therefore for every pixel, and Adam does not move. The loss is
#    1 (relative), but it does not depend on small changes of the pixels.

# %% [markdown]
# ## A project
#
# Choose another layer of block 3 or 4 and a photo of your own. Find out how much of its reconstruction error is due to
# the layer and how much due to the optimizer.
#
# | | 0 points | 1 point | 2 points |
# |---|---|---|---|
# | experiment | one run | runs with more steps | also other starts and seeds |
# | measurement | pictures only | content loss and PSNR of each run | also the distance between the runs |
# | conclusion | "the layer loses detail" | names both causes | says how much each contributes, and under which conditions |
#
# ## Further reading
#
# - A. Mahendran, A. Vedaldi: [Understanding Deep Image Representations by Inverting Them](https://arxiv.org/abs/1412.0035),
#   CVPR 2015. The first paper on this method; section 3 has the priors.
# - L. Gatys, A. Ecker, M. Bethge: [A Neural Algorithm of Artistic Style](https://arxiv.org/abs/1508.06576), 2015. Figure 1
#   is the experiment of section 2.
# - A. Dosovitskiy, T. Brox: [Inverting Visual Representations with Convolutional Networks](https://arxiv.org/abs/1506.02753),
#   CVPR 2016. A trained network in place of the loop.
# - D. Ulyanov, A. Vedaldi, V. Lempitsky: [Deep Image Prior](https://arxiv.org/abs/1711.10925), CVPR 2018. The architecture of
#   an untrained network as a prior.
#
# **Previous:** [01 · VGG anatomy](01_vgg_anatomy.ipynb). **Next:** [03 · Style reconstruction](03_style_reconstruction.ipynb):
# what remains if the loss forgets *where* things were?
